"""`python -m keepfit`: the command line, where the installed command is not on the path."""

from keepfit.edge.cli import main

if __name__ == "__main__":
    main(prog_name="keepfit")
