import os
import sys
import threading

import pytest

from twotower.app.services.jobs import Job, Jobs
from twotower.retrieval.vocabulary.errors import ServiceError


def ended(job):
    while job.active:
        threading.Event().wait(0.005)
    return job


def test_a_job_returns_what_its_work_returned_and_how_far_it_came():
    jobs = Jobs()

    def work(job):
        job.report("counting", 3, 4)
        return 42

    job = ended(jobs.start("count", "Counting", work))
    assert (job.state, job.result, job.share, job.what) == ("done", 42, 0.75, "counting")
    assert jobs.of("count")[-1] is job
    jobs.forget("count")
    assert jobs.of("count") == []
    jobs.close()


def test_an_error_ends_as_one_line_and_the_next_job_runs():
    jobs = Jobs()

    def known(_job):
        raise ServiceError("the disk is full")

    def unknown(_job):
        raise KeyError("x")

    first, second = (jobs.start(kind, kind, work) for kind, work in (("a", known), ("b", unknown)))
    third = jobs.start("c", "c", lambda _job: 1)
    assert (ended(first).state, first.error) == ("failed", "the disk is full")
    assert ended(second).error == "this is a bug in twotower: KeyError: 'x'"
    assert ended(third).result == 1
    jobs.close()


def test_jobs_run_one_after_the_other_and_closing_cancels_them():
    jobs = Jobs()
    begun, never = threading.Event(), []

    def long(job):
        begun.set()
        while not job.should_stop():
            threading.Event().wait(0.005)

    first = jobs.start("a", "a", long)
    second = jobs.start("b", "b", never.append)
    assert begun.wait(5)
    assert (first.state, second.state) == ("running", "waiting")
    assert jobs.active() == [first, second]
    jobs.close()
    assert (first.state, second.state, never) == ("cancelled", "cancelled", [])


def test_a_second_job_of_a_kind_hides_nothing_of_the_first():
    jobs = Jobs()
    begun = threading.Event()

    def long(job):
        begun.set()
        while not job.should_stop():
            threading.Event().wait(0.005)

    first = jobs.start("ingest", "first", long)
    assert begun.wait(5)
    second = jobs.start("ingest", "second", long)
    assert jobs.of("ingest") == [first, second]
    second.cancel()
    assert first.active
    jobs.close()
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert jobs.of("ingest") == [second]


def test_of_the_jobs_that_have_ended_the_last_one_is_kept():
    jobs = Jobs()
    ended(jobs.start("a", "first", lambda _job: 1))
    second = ended(jobs.start("a", "second", lambda _job: 2))
    assert jobs.of("a") == [second]
    jobs.close()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a niceness on Linux alone")
def test_a_job_and_what_it_starts_leave_the_processor_to_searches():
    jobs = Jobs()

    def niceness():
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work(_job):
        found = [niceness()]
        thread = threading.Thread(target=lambda: found.append(niceness()))
        thread.start()
        thread.join()
        return found

    own = niceness()
    job = ended(jobs.start("a", "a", work))
    assert job.result == [min(own + 10, 19)] * 2
    assert niceness() == own
    jobs.close()


def test_work_in_progress_counts_as_half_done():
    job = Job("ingest", "Ingesting")
    job.report("", 1, 4)
    job.in_progress.add("a.md")
    assert job.share == 0.375
