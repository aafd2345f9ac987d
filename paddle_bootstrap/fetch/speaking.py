"""What a connection can raise, in our own words."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from paddle_bootstrap.fetch.failure import Kind, MirrorFailure

_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@contextmanager
def speaking(stage: str = "answer") -> Iterator[None]:
    """What a connection can raise, in words that hold no secret."""
    early = stage != "answer"
    kind: Kind = "unreachable" if early else "broken"
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        clock = f"; this host's clock says {time.strftime('%Y-%m-%d %H:%M')}" if error.verify_code in _DATES else ""
        raise MirrorFailure("unreachable", f"its certificate is not trusted: {error.verify_message}{clock}") from error
    except ssl.SSLError as error:
        raise MirrorFailure(kind, f"TLS failed: {error.reason or type(error).__name__}", retry=True) from error
    except TimeoutError as error:
        words = "no connection in time" if early else "it fell silent"
        raise MirrorFailure(kind, words, retry=True) from error
    except socket.gaierror as error:
        raise MirrorFailure("unreachable", "its host name is not known", retry=True) from error
    except http.client.HTTPException as error:
        raise MirrorFailure(kind, f"its answer is broken ({type(error).__name__})", retry=True) from error
    except OSError as error:
        if error.strerror is None:  # http.client: the proxy would not open a tunnel
            raise MirrorFailure("unreachable", "the proxy refused to connect to it") from None
        raise MirrorFailure(kind, error.strerror.lower(), retry=True) from error
