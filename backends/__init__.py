"""The exits: mapping file, simulator, device models, cost model, trace and report data."""
