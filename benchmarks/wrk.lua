-- POST the bodies of a file (a line each, in hexadecimal), with the headers named after it, one after the other; print
-- what came of it as one line of JSON.
local bodies, turn = {}, 0

local function byte(digits)
  return string.char(tonumber(digits, 16))
end

function init(args)
  local headers = {}
  for at = 2, #args, 2 do
    headers[args[at]] = args[at + 1]
  end
  for line in io.lines(args[1]) do
    bodies[#bodies + 1] = wrk.format("POST", nil, headers, (line:gsub("%x%x", byte)))
  end
end

function request()
  turn = turn % #bodies + 1
  return bodies[turn]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "failed": %d, "broken": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
