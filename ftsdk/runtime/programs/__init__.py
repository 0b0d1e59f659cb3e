"""Training programs by name. Each module has `train(job, stop) -> None`, which returns once the model is in the output
folder. It raises `InterruptedTraining` once a stop request has been followed and its checkpoint announced; any other
exception is a failure.

More than fifteen files: one for each program, and the callbacks and data handling that several of them share.
"""
