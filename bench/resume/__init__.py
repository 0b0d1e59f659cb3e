"""What an interruption costs: trainings under harm beside the same ones in peace, and the price of being safe."""
