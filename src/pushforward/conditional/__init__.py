"""Tables given some of their cells: samples of an event, blanks filled, and which cells make a row unlikely."""
