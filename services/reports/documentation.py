"""The API's documentation as a page, made from the OpenAPI document: what is not in that is not here."""

import json
from typing import Any

from litestar import Request, get
from litestar.response import Template

from shared.public_pages.branding import NEUTRAL


@get("/api/v1/docs", sync_to_thread=False)
def show_documentation(request: Request) -> Template:
    """Explain the API to who writes programs for it."""
    document = request.app.openapi_schema.to_schema()
    schemas = document["components"]["schemas"]
    context = {
        "brand": NEUTRAL,
        "info": document["info"],
        "ways_in": document["components"]["securitySchemes"],
        "operations": [
            {
                "path": path,
                "about": operation["description"],
                "parameters": [{**each, "type": type_of(each["schema"])} for each in operation.get("parameters", ())],
                "example": _example(operation["responses"]["200"]),
                "answers": operation["responses"],
            }
            for path, operations in document["paths"].items()
            for operation in operations.values()
        ],
        "schemas": {
            name: {
                "about": schema.get("description", ""),
                "fields": {field: (type_of(each), each) for field, each in schema.get("properties", {}).items()},
            }
            for name, schema in sorted(schemas.items())
        },
    }
    return Template("documentation.html", context=context)


def type_of(schema: dict[str, Any]) -> str:
    """Write a schema's type for people: `integer, 1 to 100`, `one of day, week, month`, `list of ShareOf`."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if "oneOf" in schema:
        return " or ".join(type_of(each) for each in schema["oneOf"])
    if "enum" in schema:
        return "one of " + ", ".join("null" if each is None else str(each) for each in schema["enum"])
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = (
        f", {low} to {high}" if low is not None and high is not None else f", from {low}" if low is not None else ""
    )
    return schema.get("format", kind) + limits


def _example(answer: dict[str, Any]) -> str:
    (content,) = answer["content"].values()
    (example,) = content["examples"].values()
    value = example["value"]
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
