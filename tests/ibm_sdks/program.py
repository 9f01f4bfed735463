"""A program as people wrote it for IBM's service, for three generations of the Python SDK.

    python program.py SETTINGS

It knows nothing of the server but address and key, and of another one the address alone. Prints
one JSON object: for each call what the SDK returned, or ``{"code", "message", "body",
"transaction"}`` of the exception that it raised.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = "2018-03-19"
#: Training ends within; IBM's own tests waited for as long.
SECONDS = 120.0
SETTINGS = json.loads(sys.argv[1])
STYLE, HOST, URL, KEY = (SETTINGS[name] for name in ("style", "host", "url", "key"))
#: A server that asks for no key.
OPEN = SETTINGS["open"]
FILES = Path(SETTINGS["files"])
OLDEST = STYLE == "python-2"


def with_iam(key: str) -> Any:
    """A client that gets its token by a key, and renews it itself."""
    if OLDEST:
        from watson_developer_cloud import VisualRecognitionV3

        return VisualRecognitionV3(
            VERSION, url=URL, iam_apikey=key, iam_url=f"{HOST}/identity/token"
        )
    from ibm_cloud_sdk_core.authenticators import IAMAuthenticator

    # Older ones take the address of the tokens whole, newer ones complete it.
    whole = HOST if STYLE == "python-5" else f"{HOST}/identity/token"
    return with_authenticator(IAMAuthenticator(key, url=whole))


def with_authenticator(authenticator: Any, url: str = URL) -> Any:
    from ibm_watson import VisualRecognitionV3

    service = VisualRecognitionV3(version=VERSION, authenticator=authenticator)
    service.set_service_url(url)
    return service


def without_key() -> dict[str, Any]:
    """Clients of a server that asks for no key: told so, and told by the environment."""
    if OLDEST:
        from watson_developer_cloud import VisualRecognitionV3 as Oldest

        return {"without_key": Oldest(VERSION, url=OPEN, iam_access_token="any")}
    from ibm_cloud_sdk_core.authenticators import NoAuthAuthenticator
    from ibm_watson import VisualRecognitionV3

    os.environ["VISUAL_RECOGNITION_URL"] = OPEN
    os.environ["VISUAL_RECOGNITION_AUTH_TYPE"] = "noauth"
    return {
        "without_key": with_authenticator(NoAuthAuthenticator(), OPEN),
        "environment": VisualRecognitionV3(VERSION),
    }


def others(token: str) -> dict[str, Any]:
    """Clients that show the key, or a token, in other ways."""
    if OLDEST:
        from watson_developer_cloud import VisualRecognitionV3

        with_query = VisualRecognitionV3(VERSION, url=URL, iam_access_token=token)
        return {"bearer": with_query}
    from ibm_cloud_sdk_core.authenticators import BasicAuthenticator, BearerTokenAuthenticator

    return {
        "bearer": with_authenticator(BearerTokenAuthenticator(token)),
        "basic": with_authenticator(BasicAuthenticator("apikey", KEY)),
        "wrong_basic": with_authenticator(BasicAuthenticator("apikey", "wrong")),
    }


def tried(call: Callable[[], Any]) -> Any:
    """What a call returns or raises, as JSON."""
    try:
        answer = call()
    except Exception as raised:
        error: Any = raised
        if type(error).__name__ not in ("ApiException", "WatsonApiException"):
            raise
        # Compared with None: an answer that is an error counts as false.
        response = error.httpResponse if OLDEST else error.http_response
        transaction = error.globalTransactionId if OLDEST else error.global_transaction_id
        return {
            "code": error.code,
            "message": error.message,
            "body": "" if response is None else response.text,
            "transaction": transaction,
        }
    return answer.get_result()


def classified(service: Any, name: str = "smiling.jpg", **options: Any) -> Any:
    with (FILES / name).open("rb") as file:
        return tried(lambda: service.classify(images_file=file, **options))


def settled(service: Any, classifier_id: str) -> Any:
    end = time.monotonic() + SECONDS
    while True:
        found = service.get_classifier(classifier_id).get_result()
        if found["status"] in ("ready", "failed") or time.monotonic() > end:
            return found
        time.sleep(0.1)


def examples(*names: str) -> dict[str, Any]:
    """Zip files as keyword arguments, in the SDK's own way."""
    files = {name: (FILES / f"{name}.zip").open("rb") for name in names}
    if OLDEST:
        return {f"{name}_positive_examples": file for name, file in files.items()}
    return {"positive_examples": files}


def number(value: float) -> Any:
    """A threshold as the SDK takes it: text, before there were numbers."""
    return value if STYLE == "python-5" else str(value)


def looks(service: Any) -> dict[str, Any]:
    """Calls of classify with the built-in classifier."""
    seen = {
        "file": classified(service),
        "all": classified(service, threshold="0.0"),
        "ids": classified(service, threshold=number(0.6), classifier_ids=["emotion", "default"]),
        "zip": classified(service, "photos.zip"),
        "named": classified(service, images_filename="grüße.jpg", accept_language="de"),
        "url": tried(lambda: service.classify(url="http://pictures.example/me.jpg")),
        "no_images": tried(lambda: service.classify()),
        "unknown_id": classified(service, classifier_ids=["dogs_123456789"]),
        "no_picture": classified(service, "text.txt"),
    }
    if STYLE == "python-5":
        seen["number"] = classified(service, threshold=0.0)  # false in Python, so never sent
    return seen


def life(service: Any) -> dict[str, Any]:
    """A custom classifier from its beginning to its end."""
    seen: dict[str, Any] = {}
    with (FILES / "calm.zip").open("rb") as negatives:
        seen["created"] = tried(
            lambda: service.create_classifier(
                "Smile or calm", negative_examples=negatives, **examples("smile")
            )
        )
    classifier_id = seen["created"]["classifier_id"]
    seen["listed"] = tried(lambda: service.list_classifiers())
    seen["ready"] = settled(service, classifier_id)
    seen["updated"] = tried(lambda: service.update_classifier(classifier_id, **examples("calm")))
    seen["retrained"] = settled(service, classifier_id)
    seen["verbose"] = tried(lambda: service.list_classifiers(verbose=True))
    seen["smiling"] = classified(service, "smiling.jpg", classifier_ids=[classifier_id])
    seen["neutral"] = classified(service, "neutral.jpg", classifier_ids=classifier_id)
    seen["owners"] = classified(service, owners=["IBM", "me"])
    seen["core_ml"] = tried(lambda: service.get_core_ml_model(classifier_id))
    seen["deleted"] = tried(lambda: service.delete_classifier(classifier_id))
    seen["gone"] = tried(lambda: service.get_classifier(classifier_id))
    seen["deleted_again"] = tried(lambda: service.delete_classifier(classifier_id))
    label = {"X-Watson-Metadata": "customer_id=anna", "X-Watson-Learning-Opt-Out": "1"}
    with (FILES / "calm.zip").open("rb") as negatives:
        seen["labelled"] = tried(
            lambda: service.create_classifier(
                "Anna's", negative_examples=negatives, headers=label, **examples("smile")
            )
        )
    seen["user_data"] = tried(lambda: service.delete_user_data("anna"))
    seen["at_the_end"] = tried(lambda: service.list_classifiers())
    return seen


def refused(service: Any) -> dict[str, Any]:
    """Creations that cannot be."""
    name = "a-b"
    bad = (
        {f"{name}_positive_examples": (FILES / "smile.zip").open("rb")}
        if OLDEST
        else {"positive_examples": {name: (FILES / "smile.zip").open("rb")}}
    )
    return {
        "one_class": tried(lambda: service.create_classifier("x", **examples("smile"))),
        "bad_class": tried(lambda: service.create_classifier("x", **bad, **negatives())),
    }


def negatives() -> dict[str, Any]:
    return {"negative_examples": (FILES / "calm.zip").open("rb")}


def renewed(service: Any) -> Any:
    """A call after the token has run out."""
    service.token_manager.token_info["expiration"] = 0
    before = service.token_manager.token_info["access_token"]
    time.sleep(1.1)  # a token of the same second is the same
    found = tried(lambda: service.list_classifiers())
    return {"found": found, "new": service.token_manager.token_info["access_token"] != before}


def token_of(service: Any) -> str:
    if OLDEST:
        return str(service.token_manager.get_token())
    return str(service.authenticator.token_manager.get_token())


def main() -> None:
    """Do everything and print it."""
    service = with_iam(KEY)
    seen = {**looks(service), **life(service), **refused(service)}
    seen["wrong_key"] = classified(with_iam("wrong"))
    for name, client in others(token_of(service)).items():
        seen[name] = tried(client.list_classifiers)
    for name, client in without_key().items():
        seen[name] = classified(client)
    if OLDEST:
        seen["renewed"] = renewed(service)
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
