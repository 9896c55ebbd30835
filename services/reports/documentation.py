"""The API's documentation as a page, made from the OpenAPI document: what is not in that is not here."""

from typing import Any

import msgspec
from litestar import Request, get
from litestar.response import Template
from markupsafe import Markup, escape

from shared.public_pages.branding import NEUTRAL


@get("/api/v1/docs", sync_to_thread=False)
def show_documentation(request: Request) -> Template:
    """Explain the API to who writes programs for it."""
    document = request.app.openapi_schema.to_schema()
    schemas = document["components"]["schemas"]
    context = {
        "brand": NEUTRAL,
        "info": document["info"],
        "ways_in": document["components"]["securitySchemes"].values(),
        "operations": [
            {
                "path": path,
                "about": words(operation["description"]),
                "parameters": [_parameter(each) for each in operation.get("parameters", ())],
                "answers": {
                    status: words(answer["description"]) for status, answer in sorted(operation["responses"].items())
                },
                "example": _example(operation["responses"]["200"]),
            }
            for path, operations in document["paths"].items()
            for operation in operations.values()
        ],
        "schemas": {
            name: {
                "about": words(schema.get("description", "")),
                "fields": [
                    (field, type_of(each), words(each.get("description", "")))
                    for field, each in schema.get("properties", {}).items()
                ],
            }
            for name, schema in sorted(schemas.items())
        },
        "words": words,
    }
    return Template("documentation.html", context=context)


def words(text: str) -> Markup:
    """Write a text of the document, in which code stands between backticks."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


def type_of(schema: dict[str, Any]) -> str:
    """Write a schema's type for people: `integer, 1 to 100`, `day, week or month`, `list of ShareOf`."""
    schema = schema.get("allOf", [schema])[0]
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if "oneOf" in schema:
        return _either([type_of(each) for each in schema["oneOf"]])
    if "enum" in schema:
        return _either(["null" if each is None else str(each) for each in schema["enum"]])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return _either(kind)
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = f", {low} to {high}" if high is not None else f", from {low}" if low is not None else ""
    return schema.get("format", kind) + limits


def _either(types: list[str]) -> str:
    return f"{', '.join(types[:-1])} or {types[-1]}" if len(types) > 1 else types[0]


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter["schema"]
    # What may be left out is told as null; nobody can send that in an address.
    for key in ("oneOf", "enum"):
        if key in schema:
            schema = {**schema, key: [each for each in schema[key] if each not in (None, {"type": "null"})]}
    default = schema.get("default")
    return {
        "name": parameter["name"],
        "type": type_of(schema),
        "about": words(parameter.get("description", "")),
        "default": "" if default is None else msgspec.json.encode(default).decode().strip('"'),
    }


def _example(answer: dict[str, Any]) -> str:
    (content,) = answer["content"].values()
    (example,) = content["examples"].values()
    value = example["value"]
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value)).decode()
