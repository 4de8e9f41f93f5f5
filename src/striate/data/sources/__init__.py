"""Where labelled examples come from: one source a file; `striate.data` has a line for each."""
