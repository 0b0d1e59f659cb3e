"""`ftsdk diagnose`: what happened to a job, why, how sure that is, and what to do."""
