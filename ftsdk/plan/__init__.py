"""Plans: everything that a submit would do, as data."""

from ftsdk.plan.plan import Plan as Plan
from ftsdk.plan.plan import RetryNote as RetryNote
from ftsdk.storage.transfers import Copy as Copy
from ftsdk.storage.transfers import Upload as Upload
