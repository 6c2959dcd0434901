"""Threads of torch, and cores."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from prefopt_core.models import threads
from prefopt_core.models.threads import cores, on_all_cores, one_thread


@pytest.fixture
def four():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_jobs_run_on_one_thread_each_and_results_keep_their_order(four, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    meet = threading.Barrier(4, timeout=60)  # four at once, or none ends

    def job(number):
        meet.wait()
        return number, torch.get_num_threads()

    assert list(on_all_cores(job, range(8))) == [(number, 1) for number in range(8)]
    assert torch.get_num_threads() == 4


def test_threads_beside_a_block_of_one_thread_have_all(four):
    seen = []
    with one_thread():
        other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        other.start()
        other.join()
        seen.append(torch.get_num_threads())
    assert [*seen, torch.get_num_threads()] == [4, 1, 4]


def test_what_a_job_raises_ends_the_others(four, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 1)
    ended, done = threading.Event(), []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *, cancel_futures):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            ended.set()
            super().shutdown()

    def job(number):
        done.append(number)
        if number == 0:
            raise ValueError(number)
        assert ended.wait(60)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Pool)
    with pytest.raises(ValueError, match="0"):
        list(on_all_cores(job, range(100)))
    assert done in ([0], [0, 1])  # the next may have begun


def test_cores_are_as_many_as_torch_was_told_if_the_machine_has_more(four, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    assert cores() == 4
    monkeypatch.setattr(threads, "usable_cores", lambda: 2)
    assert cores() == 2
