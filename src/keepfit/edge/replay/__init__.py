"""keepfit replay: what it found, on the terminal and on a page; several policies beside each other."""
