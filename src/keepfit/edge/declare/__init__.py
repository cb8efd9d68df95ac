"""From a service file to a Specification: loaded in a child process, every mistake told with its line."""
