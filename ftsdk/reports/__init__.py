"""What is made from finished jobs: lineage trees, comparisons, HTML reports, reproductions."""
