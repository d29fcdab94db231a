"""What is counted and logged about one job of the sandbox: its kind, how it ended, how long it waited and worked."""

from app.core.logging import get_logger
from app.core.media_types import MediaType, Processor, by_extension, by_mime_type, extension_of
from app.core.metrics import ProcessingOutcome, processing_finished
from app.core.processing.contract import Fault, Job, ProcessedFile, Refusal
from app.core.processing.workers.wire import Answer

_SLOW_JOB_S = 5.0

log = get_logger(__name__)


def record_job(job: Job, answer: Answer | None, *, waited_s: float, took_s: float) -> None:
    """Count one job that a worker has taken up, and log it when it was slow.

    answer: None when the worker was lost on the way, or talked nonsense.
    """
    processing_finished(_kind(job, answer), _outcome(answer), duration_s=took_s, waited_s=waited_s)
    if waited_s + took_s > _SLOW_JOB_S:
        log.warning("sandbox.job_slow", media_type=job.media_type, waited_s=round(waited_s, 3), took_s=round(took_s, 3),
                    cpu_s=answer and answer.cpu_s, rss_bytes=answer and answer.rss_bytes)  # fmt: skip


def _outcome(answer: Answer | None) -> ProcessingOutcome:
    match answer.outcome if answer else None:
        case ProcessedFile():
            return "ok"
        case Refusal():
            return "refused"
        case Fault() | None:
            return "fault"


def _kind(job: Job, answer: Answer | None) -> Processor | None:
    """What the file is; for one that was not accepted, what its name and its declared type make it out to be."""
    if answer is not None and isinstance(answer.outcome, ProcessedFile):
        return by_mime_type(answer.outcome.mime_type).processor
    claimed = [row for row in by_extension(extension_of(job.filename)) if row.media_type == job.media_type]
    if claimed:
        return claimed[0].processor
    return None if job.media_type is MediaType.DOCUMENT else Processor(job.media_type.value)
