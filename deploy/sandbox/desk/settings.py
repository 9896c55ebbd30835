"""What the demo help desk needs to know."""

import json
from pathlib import Path

from shared.chassis.settings import PublicUrl
from shared.chassis.settings import Settings as ChassisSettings


class Settings(ChassisSettings):
    """`smtp_port` is where its mailbox takes emails (none without); the keys open each account's CSAT tab.

    With a key to the portal, `portal_key_file`, agents attach files and get those of requesters.
    """

    port: int = 8000
    smtp_port: int | None = None
    mailbox_url: PublicUrl | None = None  # another mailbox to link to, such as Mailpit's
    reports_url: PublicUrl = "http://127.0.0.1:8004"
    reports_keys_file: Path | None = None
    portal_api_url: PublicUrl = "http://127.0.0.1:8001"
    portal_key_file: Path | None = None

    def reports_keys(self) -> dict[str, str]:
        """Read each account's key of the reports service. Empty until somebody has made them."""
        if self.reports_keys_file is None or not self.reports_keys_file.exists():
            return {}
        return json.loads(self.reports_keys_file.read_text())

    def portal_key(self) -> str:
        """Read the key to the portal's attachments. Empty until somebody has made one."""
        if self.portal_key_file is None or not self.portal_key_file.exists():
            return ""
        return self.portal_key_file.read_text().strip()
