"""The pages, and the programs that write those made out of the code."""
