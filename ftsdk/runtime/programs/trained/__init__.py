"""Programs for a model that exists: each module has `train(job, stop)`, as the trainers, and fills a folder."""
