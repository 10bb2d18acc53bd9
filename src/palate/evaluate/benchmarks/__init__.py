"""What was lost or won elsewhere: lm-evaluation-harness on all models, paired by question."""

from palate.evaluate.benchmarks.run import Benchmarks, check_benchmarks, run_benchmarks

__all__ = ["Benchmarks", "check_benchmarks", "run_benchmarks"]
