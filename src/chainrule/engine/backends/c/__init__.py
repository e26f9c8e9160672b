"""The C backend: a graph as one native program, built with the machine's own compiler."""
