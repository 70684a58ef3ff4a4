#!/usr/bin/env python3
"""Does the benchmark notice what it must? Run as: python3 bench/test_bench.py [folder of bench_load and bench_upstream]."""
import sys
import tempfile
import unittest
from pathlib import Path

import intervals
import processes
import proxies

TOOLS = Path(__file__).resolve().parent.parent / "build" / "bench"


class DamagedAnswers(unittest.TestCase):
    """Every 97th answer is damaged; the driver has to find each kind."""

    def run_load(self, spoil: str, *more) -> dict:
        upstream = processes.Upstream(TOOLS, 0, frames=20, interval_us=100 if spoil in ("frame", "terminator") else 0, spoil=spoil)
        try:
            return processes.load(TOOLS, 0, upstream.port, "--requests", 400, "--connections", 8, *more)
        finally:
            upstream.stop()

    def test_a_right_answer_passes(self):
        result = self.run_load("")
        self.assertEqual((result["ok"], result["errors"]), (400, 0))
        self.assertEqual((result["input_tokens"], result["output_tokens"]), (400 * 211, 400 * 204))

    def test_a_right_stream_passes(self):
        result = self.run_load("", "--stream", "--frames", 20)
        self.assertEqual((result["ok"], result["frames"]), (400, 400 * (1 + 20 + 1 + 1 + 1)))  # role, text, finish, usage, [DONE]

    def test_a_failed_status_is_noticed(self):
        self.assert_noticed("status", "status 503")

    def test_one_changed_byte_is_noticed(self):
        self.assert_noticed("byte", "not the upstream's")

    def test_a_cut_answer_is_noticed(self):
        self.assert_noticed("short", "closed before")

    def test_a_lost_frame_is_noticed(self):
        self.assert_noticed("frame", "not the upstream's", "--stream", "--frames", 20)

    def test_a_lost_terminator_is_noticed(self):
        self.assert_noticed("terminator", "without its end mark", "--stream", "--frames", 20)

    def assert_noticed(self, spoil: str, words: str, *more):
        with self.assertRaises(processes.BenchError) as caught:
            self.run_load(spoil, *more)
        self.assertIn("4 of 400 answers wrong", str(caught.exception))  # the 97th, 194th, 291st and 388th
        self.assertIn(words, str(caught.exception))


class Intervals(unittest.TestCase):
    def test_fifteen_values_give_the_fourth_and_the_twelfth(self):
        value = intervals.estimate([float(i) for i in range(15, 0, -1)])
        self.assertEqual((value.median, value.low, value.high), (8, 4, 12))
        self.assertAlmostEqual(value.coverage, 0.9648, 4)  # Conover, Practical Nonparametric Statistics: n = 15, p = 0.5

    def test_five_values_are_too_few(self):
        self.assertEqual(intervals.verdict(intervals.estimate([0.1] * 5), 0.9, "less"), "not decided")

    def test_an_interval_across_the_bound_decides_nothing(self):
        values = [0.8 + 0.02 * i for i in range(15)]  # interval 0.86 to 1.02
        self.assertEqual(intervals.verdict(intervals.estimate(values), 0.9, "less"), "not decided")
        self.assertEqual(intervals.verdict(intervals.estimate(values), 1.03, "less"), "met")
        self.assertEqual(intervals.verdict(intervals.estimate(values), 0.85, "less"), "missed")
        self.assertEqual(intervals.verdict(intervals.estimate(values), 0.85, "more"), "met")


class Books(unittest.TestCase):
    def test_tokens_are_summed_over_series_by_their_kind(self):
        text = ('# TYPE thalweg_tokens_total counter\nthalweg_tokens_total{model="a",type="input"} 7\n'
                'thalweg_tokens_total{model="b",type="input"} 4\nthalweg_tokens_total{model="a",type="output"} 1e2\nother{type="input"} 5\n')
        self.assertEqual(proxies.tokens_in(text), (11, 100))

    def test_a_log_with_a_line_too_few_fails_the_run(self):
        with tempfile.TemporaryDirectory() as folder:
            proxy = proxies.Proxy("stand-in")
            proxy.log = Path(folder) / "log"
            proxy.log.write_text('{"path":"/v1/chat/completions"}\n{"path":"/metrics"}\n')
            proxy.process = processes.start(["sleep", "60"], None)
            proxy.requests = 2
            with self.assertRaises(processes.BenchError):
                proxy.stop()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        TOOLS = Path(sys.argv.pop(1)).resolve()
    sys.dont_write_bytecode = True
    unittest.main()
