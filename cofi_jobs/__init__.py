"""CoFi: a nightly collaborative-filtering recommender. Start with README.md, then docs/."""
