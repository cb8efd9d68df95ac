"""keepfit bench: what is asked, how it is shown, and how the winner is deployed."""
