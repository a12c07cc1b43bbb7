"""docs/MESSAGES.md says what the structs say."""

from django.core.management import call_command


def test_the_document_is_generated_from_the_structs() -> None:
    call_command("document_messages", "--check")
