"""Files and objects as the launcher sees them: stores, staging, copies, archives, and what a runtime has written."""
