"""The API in OpenAPI's words (OpenAPI 3.0.3, which every generator of clients reads)."""

from __future__ import annotations

from typing import Any

from shelly_local import __version__
from shelly_local.watson.contract.answer import DEFAULT_THRESHOLD
from shelly_local.watson.custom.names import MAX_NAME
from shelly_local.watson.server.access import GRANT_TYPE, REFRESH_GRANT_TYPE

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FILE: Schema = {"type": "string", "format": "binary"}
_TIME: Schema = {"type": "string", "format": "date-time", "example": "2018-03-17T19:01:30.536Z"}


def document() -> dict[str, Any]:
    """The document of ``GET /openapi.json``; JSON values only."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Shelly: Watson Visual Recognition v3 on your own machine",
            "version": __version__,
            "description": "Classifies facial expressions behind the interface of IBM Watson "
            "Visual Recognition v3, API version 2018-03-19. The same paths are below "
            "/visual-recognition/api and below /instances/{instance_id}.",
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"basic": []}, {"bearer": []}, {"api_key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "User apikey."},
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "api_key": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
            "parameters": {"version": _VERSION, "classifier_id": _CLASSIFIER_ID},
            "schemas": _schemas(),
            "responses": _responses(),
        },
    }


_VERSION: Schema = {
    "name": "version",
    "in": "query",
    "required": True,
    "description": "Date of the API version; every date has the behaviour of 2018-03-19.",
    "schema": {"type": "string", "format": "date", "example": "2018-03-19"},
}
_CLASSIFIER_ID: Schema = {
    "name": "classifier_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}


def _paths() -> dict[str, Any]:
    """Every path of the server."""
    version = {"$ref": "#/components/parameters/version"}
    one = [{"$ref": "#/components/parameters/classifier_id"}, version]
    options = [
        _query("url", _TEXT, "Address of a picture, if the server fetches any."),
        _query("threshold", _TEXT, f"Least score to show, 0 to 1; {DEFAULT_THRESHOLD} by default."),
        _query("owners", _TEXT, "IBM, me or both, with a comma."),
        _query("classifier_ids", _TEXT, "Ids, with commas; overrides owners."),
    ]
    return {
        "/v3/classify": {
            "get": _operation(
                "classify_url", "Classify the picture at an address.", "ClassifiedImages",
                [version, *options], "400 401 403 404 413 429 500 502 503 504",
            ),
            "post": _operation(
                "classify", "Classify a picture, a zip of pictures, or the picture at an address.",
                "ClassifiedImages", [version, *options],
                "400 401 403 404 413 415 429 500 502 503 504", _form(_CLASSIFY, []),
            ),
        },
        "/v3/classifiers": {
            "get": _operation(
                "list_classifiers", "The custom classifiers.", "Classifiers",
                [version, _query("verbose", _TEXT, "true for all fields.")], "400 401 403 500",
            ),
            "post": _operation(
                "create_classifier", "Create a custom classifier and begin its training.",
                "Classifier", [version], "400 401 403 413 415 429 500 503",
                _form(_CREATE, ["name"]),
            ),
        },
        "/v3/classifiers/{classifier_id}": {
            "get": _operation(
                "get_classifier", "One custom classifier.", "Classifier", one, "400 401 403 404 500"
            ),
            "post": _operation(
                "update_classifier", "Add pictures or classes, and train again.", "Classifier",
                one, "400 401 403 404 409 413 415 429 500 503", _form(_EXAMPLES, []),
            ),
            "delete": _operation(
                "delete_classifier", "Delete a custom classifier.", "Empty", one,
                "400 401 403 404 500",
            ),
        },
        "/v3/classifiers/{classifier_id}/core_ml_model": {
            "get": _operation(
                "get_core_ml_model", "No classifier here has a Core ML file: always an error.",
                None, one, "400 401 403 404 500",
            ),
        },
        "/v3/user_data": {
            "delete": _operation(
                "delete_user_data", "Delete the custom classifiers of a customer.", "Empty",
                [version, {**_query("customer_id", _TEXT, "Whose."), "required": True}],
                "400 401 403 500",
            ),
        },
        "/identity/token": {
            "post": _operation(
                "token", "A token for a key.", "Token", [], "400 401 403 413 415",
                {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "grant_type": {
                                        "type": "string",
                                        "enum": [GRANT_TYPE, REFRESH_GRANT_TYPE],
                                        "default": GRANT_TYPE,
                                    },
                                    "apikey": _TEXT,
                                    "refresh_token": _TEXT,
                                    "response_type": _TEXT,
                                },
                            }
                        }
                    }
                },
            ),
        },
        "/openapi.json": {
            "get": _operation("openapi", "This document.", "Object", [], "403"),
        },
        "/health": {"get": _operation("health", "Is the server up?", "Status", [], "403")},
        "/ready": {"get": _operation("ready", "Is the model loaded?", "Status", [], "403 500")},
        "/": {"get": _operation("index", "What this is.", "Object", [], "403")},
    }  # fmt: skip


_CLASSIFY: Schema = {
    "images_file": {
        **_FILE,
        "description": "A JPEG, PNG, GIF or TIFF picture of 10 MB, or a zip of 20 in 100 MB.",
    },
    "url": _TEXT,
    "threshold": _TEXT,
    "owners": _TEXT,
    "classifier_ids": _TEXT,
    "parameters": {**_TEXT, "description": "All of them as a JSON object, the old way."},
}
_EXAMPLES: Schema = {
    "negative_examples": {**_FILE, "description": "A zip of pictures that show no class."},
}
_CREATE: Schema = {"name": {**_TEXT, "minLength": 1, "maxLength": MAX_NAME}, **_EXAMPLES}


def _form(properties: Schema, required: list[str]) -> dict[str, Any]:
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if "negative_examples" in properties:
        schema["additionalProperties"] = _FILE
        schema["description"] = "A zip of pictures in a field <class>_positive_examples each."
    return {"content": {"multipart/form-data": {"schema": schema}}}


def _query(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _operation(
    name: str,
    summary: str,
    answer: str | None,
    parameters: list[dict[str, Any]],
    errors: str,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """An operation with its answer's schema, and its errors by status."""
    responses: dict[str, Any] = {}
    if answer:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
        responses["200"] = {"description": "Done.", "content": content}
    for status in errors.split():
        kind = "Unauthorized" if status == "401" else "Failure"
        responses[status] = {"$ref": f"#/components/responses/{kind}"}
    operation: dict[str, Any] = {"operationId": name, "summary": summary}
    if parameters:
        operation["parameters"] = parameters
    if body:
        operation["requestBody"] = body
    return {**operation, "responses": responses}


def _responses() -> dict[str, Any]:
    failures = ["RequestError", "FlatError", "ClassifiedImages"]
    schema = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in failures]}
    return {
        "Failure": {
            "description": "What went wrong; classify answers with its own object, and an error "
            "per picture, when all pictures failed.",
            "content": {"application/json": {"schema": schema}},
        },
        "Unauthorized": {
            "description": "The key is missing or wrong.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FlatError"}}},
        },
    }


def _object(required: str, optional: dict[str, Schema] | None = None, **fields: Schema) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": {**fields, **(optional or {})},
        "additionalProperties": False,
    }


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}


def _schemas() -> dict[str, Schema]:
    score: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    code: Schema = {"type": "integer", "minimum": 400, "maximum": 599}
    status: Schema = {"type": "string", "enum": ["training", "ready", "retraining", "failed"]}
    error: Schema = {"$ref": "#/components/schemas/Error"}
    return {
        "ClassifiedImages": _object(
            "images images_processed custom_classes",
            {"warnings": _list_of("Warning")},
            images=_list_of("ClassifiedImage"),
            images_processed={"type": "integer", "minimum": 0},
            custom_classes={"type": "integer", "minimum": 0},
        ),
        "ClassifiedImage": _object(
            "classifiers",
            {"image": _TEXT, "source_url": _TEXT, "resolved_url": _TEXT, "error": error},
            classifiers=_list_of("ClassifierResult"),
        ),
        "ClassifierResult": _object(
            "classifier_id name classes",
            classifier_id=_TEXT,
            name=_TEXT,
            classes=_list_of("ClassScore"),
        ),
        "ClassScore": {
            "type": "object",
            "required": ["class", "score"],
            "properties": {"class": _TEXT, "score": score},
            "additionalProperties": False,
        },
        "Warning": _object("warning_id description", warning_id=_TEXT, description=_TEXT),
        "Error": _object("code description error_id", code=code, description=_TEXT, error_id=_TEXT),
        "RequestError": _object("error", error=error),
        "FlatError": _object("code error", code=code, error=_TEXT),
        "Classifier": _object(
            "classifier_id name",
            {
                "owner": _TEXT,
                "status": status,
                "core_ml_enabled": {"type": "boolean"},
                "explanation": _TEXT,
                "created": _TIME,
                "classes": _list_of("Class"),
                "retrained": _TIME,
                "updated": _TIME,
            },
            classifier_id=_TEXT,
            name=_TEXT,
        ),
        "Class": {
            "type": "object",
            "required": ["class"],
            "properties": {"class": _TEXT},
            "additionalProperties": False,
        },
        "Classifiers": _object("classifiers", classifiers=_list_of("Classifier")),
        "Token": _object(
            "access_token refresh_token token_type expires_in expiration",
            access_token=_TEXT,
            refresh_token=_TEXT,
            token_type=_TEXT,
            expires_in={"type": "integer"},
            expiration={"type": "integer"},
        ),
        "Status": _object("status", status=_TEXT),
        "Object": {"type": "object"},
        "Empty": {"type": "object", "additionalProperties": False},
    }
