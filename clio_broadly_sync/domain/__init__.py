"""Values and decisions. Nothing here reads a file, a clock or the network, or imports another
folder of the program."""
