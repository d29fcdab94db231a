"""The error tree: what can go wrong, with the status and the stable code a client sees. Imports nothing of ours.

    ServiceError (500 internal_error)
    ├── InvalidRequest (400)                      the request cannot be read
    │   ├── MalformedMultipart · MissingField · DuplicateField · InvalidField · InvalidNumber · UnsupportedForm
    │   └── ChecksumMismatch
    ├── InvalidUpload (400)                       the request is fine, the file is not
    │   ├── EmptyFile · FileTooLarge · UnsupportedFileType · FileTypeMismatch
    │   └── UnreadableFile · FileTooComplex · MalwareFound
    ├── Unauthenticated (401) · PermissionDenied (403)
    ├── NotFound (404): MediaNotFound · ContentNotFound · StoredFileNotFound
    ├── RequestTimedOut (408) · Conflict (409): IdempotentMediaDeleted · BodyTooLarge (413)
    ├── QuotaExceeded (413): ContentFull · PreconditionFailed (412) · UnsupportedContentEncoding (415)
    ├── RangeNotSatisfiable (416) · IdempotencyMismatch (422) · TooManyRequests (429): TooManyUploads
    ├── Unavailable (503): ServiceBusy · ShuttingDown · DatabaseUnavailable
    │                      AuthServiceUnavailable · ScannerUnavailable · StorageUnavailable
    └── StorageFull (507)

`str(error)` is the `detail` and is safe to show: no path, SQL or vendor text. The cause travels in `__cause__` to
the log.
"""

from collections.abc import Mapping


class ServiceError(Exception):
    """Something the API answers with `status`, `code` and `str(self)`; `report` asks the log for a traceback."""

    status = 500
    code = "internal_error"
    report = True

    def __init__(self, detail: str = "Something went wrong on our side.") -> None:
        super().__init__(detail)

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to this error."""
        return {}


# -- 400: the request ---------------------------------------------------------------------------------------------


class InvalidRequest(ServiceError):
    status = 400
    code = "invalid_request"
    report = False


class MalformedMultipart(InvalidRequest):
    code = "malformed_multipart"


class UnsupportedForm(InvalidRequest):
    code = "unsupported_form"

    def __init__(self) -> None:
        super().__init__("Send the upload as multipart/form-data with a boundary.")


class MissingField(InvalidRequest):
    code = "missing_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"The form field '{field}' is required.")


class DuplicateField(InvalidRequest):
    code = "duplicate_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"The form field '{field}' was sent more than once.")


class InvalidField(InvalidRequest):
    code = "invalid_field"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"'{field}' {problem}")
        self.field = field


class InvalidNumber(InvalidField):
    """A number that not every client and database would read as the same one."""

    code = "invalid_number"

    def __init__(self, field: str, *, max_chars: int) -> None:
        super().__init__(
            field, f"has a number beyond the range of a double or of more than {max_chars} characters; send it as text."
        )


class ChecksumMismatch(InvalidRequest):
    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("The file that arrived does not have the SHA-256 checksum that was sent with it.")


# -- 400: the file ------------------------------------------------------------------------------------------------


class InvalidUpload(ServiceError):
    status = 400
    code = "invalid_file"
    report = False


class EmptyFile(InvalidUpload):
    code = "empty_file"

    def __init__(self) -> None:
        super().__init__("The file is empty.")


class FileTooLarge(InvalidUpload):
    code = "file_too_large"

    def __init__(self, *, limit_bytes: int, media_type: str) -> None:
        super().__init__(f"The file exceeds the limit of {limit_bytes} bytes for media_type '{media_type}'.")


class UnsupportedFileType(InvalidUpload):
    code = "unsupported_file_type"


class FileTypeMismatch(InvalidUpload):
    """Content, extension and declared media_type disagree; the sentence says which and what was found."""

    code = "file_type_mismatch"


class UnreadableFile(InvalidUpload):
    code = "unreadable_file"


class FileTooComplex(InvalidUpload):
    """Reading the file would cost more pixels, frames, members, memory or seconds than one upload may have."""

    code = "file_too_complex"


class MalwareFound(InvalidUpload):
    code = "malware_found"

    def __init__(self) -> None:
        super().__init__("The malware scanner refused this file.")


# -- 401, 403, 404 ------------------------------------------------------------------------------------------------


class Unauthenticated(ServiceError):
    status = 401
    code = "unauthenticated"
    report = False

    def __init__(self, detail: str = "A valid bearer token is required.", *, token_was_sent: bool = False) -> None:
        super().__init__(detail)
        self._token_was_sent = token_was_sent

    @property
    def headers(self) -> Mapping[str, str]:
        # RFC 6750 section 3.1: a request without any token gets the bare challenge, a bad token gets the error code.
        challenge = 'Bearer realm="media"'
        return {"WWW-Authenticate": challenge + (', error="invalid_token"' if self._token_was_sent else "")}


class PermissionDenied(ServiceError):
    status = 403
    code = "permission_denied"
    report = False


class NotFound(ServiceError):
    status = 404
    code = "not_found"
    report = False


class MediaNotFound(NotFound):
    code = "media_not_found"

    def __init__(self) -> None:
        super().__init__("Media not found.")


class ContentNotFound(NotFound):
    code = "content_not_found"

    def __init__(self) -> None:
        super().__init__("Content not found.")


class StoredFileNotFound(NotFound):
    code = "file_not_found"

    def __init__(self) -> None:
        super().__init__("File not found in storage.")


# -- 408 to 429 ---------------------------------------------------------------------------------------------------


class RequestTimedOut(ServiceError):
    status = 408
    code = "request_timeout"
    report = False

    def __init__(self) -> None:
        super().__init__("The request body arrived too slowly.")


class Conflict(ServiceError):
    status = 409
    code = "conflict"
    report = False


class IdempotentMediaDeleted(Conflict):
    """Two uploads of one Idempotency-Key at once: the first one's media was deleted before the second ended."""

    def __init__(self) -> None:
        super().__init__(
            "The media of this Idempotency-Key was deleted while this upload was on its way; send it again."
        )


class PreconditionFailed(ServiceError):
    status = 412
    code = "precondition_failed"
    report = False

    def __init__(self) -> None:
        super().__init__("It is not in the state that the request demands; nothing was done.")


class BodyTooLarge(ServiceError):
    status = 413
    code = "body_too_large"
    report = False

    def __init__(self, *, limit_bytes: int) -> None:
        super().__init__(f"The request exceeds the upload limit of {limit_bytes} bytes.")


class QuotaExceeded(ServiceError):
    status = 413
    code = "quota_exceeded"
    report = False


class ContentFull(QuotaExceeded):
    code = "content_full"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"This content has the most media that one may have, {limit}.")


class UnsupportedContentEncoding(ServiceError):
    status = 415
    code = "unsupported_content_encoding"
    report = False

    def __init__(self, encoding: str) -> None:
        super().__init__(f"The request body is encoded as {encoding}; send it as it is, without a Content-Encoding.")

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Accept-Encoding": "identity"}  # RFC 9110 section 12.5.3


class RangeNotSatisfiable(ServiceError):
    status = 416
    code = "range_not_satisfiable"
    report = False

    def __init__(self, *, size_bytes: int) -> None:
        super().__init__(f"The requested range lies outside the file of {size_bytes} bytes.")
        self._size_bytes = size_bytes

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Content-Range": f"bytes */{self._size_bytes}", "Accept-Ranges": "bytes"}


class IdempotencyMismatch(ServiceError):
    status = 422
    code = "idempotency_mismatch"
    report = False

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was already used for a different upload.")


class TooManyRequests(ServiceError):
    status = 429
    code = "too_many_requests"
    report = False

    def __init__(self, *, retry_after_s: int) -> None:
        super().__init__("Too many requests; slow down.")
        self._retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(max(1, self._retry_after_s))}


class TooManyUploads(TooManyRequests):
    code = "too_many_uploads"

    def __init__(self, *, limit: int) -> None:
        ServiceError.__init__(self, f"You have {limit} uploads running, as many as one user may; wait for one to end.")
        self._retry_after_s = 2


# -- 503, 507 -----------------------------------------------------------------------------------------------------


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"
    retry_after_s = 5

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class ServiceBusy(Unavailable):
    code = "service_busy"
    report = False
    retry_after_s = 2

    def __init__(self) -> None:
        super().__init__("The service is at its limit of parallel work; try again shortly.")


class ShuttingDown(Unavailable):
    code = "shutting_down"
    report = False

    def __init__(self) -> None:
        super().__init__("This instance is shutting down; try again.")


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"

    def __init__(self) -> None:
        super().__init__("The database cannot be reached; try again shortly.")


class AuthServiceUnavailable(Unavailable):
    code = "auth_service_unavailable"

    def __init__(self) -> None:
        super().__init__("Tokens cannot be verified at the moment; try again shortly.")


class ScannerUnavailable(Unavailable):
    code = "scanner_unavailable"

    def __init__(self) -> None:
        super().__init__("The malware scanner cannot be reached; try again shortly.")


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"

    def __init__(self) -> None:
        super().__init__("The storage does not take files at the moment; try again later.")


class StorageFull(ServiceError):
    status = 507
    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("The storage is full; the file was not kept.")
