"""Who answers: slots, runtimes, wire, routes, capture."""
