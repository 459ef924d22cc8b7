"""Files on disk: the run folder, the journal, TensorBoard files, exports."""
