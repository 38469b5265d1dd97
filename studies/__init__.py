"""What needs runner and analysis together: runs are completed, then measured."""
