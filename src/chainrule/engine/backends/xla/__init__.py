"""The backend that runs graphs with XLA, through JAX: on processors, GPUs and TPUs."""
