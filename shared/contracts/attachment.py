"""Files that belong to what somebody wrote. Their bytes travel by HTTP; events tell of them only."""

import re
from dataclasses import dataclass

from shared.contracts.event import check_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One file, named by an id that is unique within the account. `size` is in bytes.

    The id stands in addresses: letters, digits and `.`, `_`, `-`, no dot in front.

    The portal keeps the bytes. The help desk puts those of its agents to `/api/v1/accounts/{account_id}/attachments/
    {attachment_id}` there, before or after the event, and gets those of requesters from the same address.
    """

    attachment_id: str
    name: str
    media_type: str
    size: int

    def __post_init__(self) -> None:
        check_facts(self)
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", self.attachment_id):
            raise ValueError("attachment_id must have letters, digits and . _ - only")
        if self.size < 0:
            raise ValueError("size must be 0 or more")
