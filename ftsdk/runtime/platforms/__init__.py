"""Platform-specific code inside a job: the cluster, secrets, and files that the platform reads."""
