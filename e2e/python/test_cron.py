"""Sources of Svix's type `cron`, with the official SDK."""

import pytest
from svix.api import Svix, SvixOptions
from svix.api.ingest_source import IngestSourceListOptions
from svix.models import CronConfig, IngestSourceIn


@pytest.fixture
def sources(posthaste):
    return Svix(posthaste.token, SvixOptions(server_url=posthaste.url)).ingest.source


def test_a_cron_source_is_made_read_and_changed(sources):
    config = CronConfig(schedule="0 9 * * mon-fri", payload="a,b", content_type="text/csv")
    made = sources.create(IngestSourceIn(name="Tick", uid="tick", type="cron", config=config))
    assert (made.type, made.config, made.ingest_url) == ("cron", config, None)
    assert sources.get("tick").config == config
    config = CronConfig(schedule="@daily", payload="{}")
    # The SDK's generations have different words for it.
    put = getattr(sources, "upsert", None) or sources.update
    assert put("tick", IngestSourceIn(name="Tick", type="cron", config=config)).config == config
    assert [source.id for source in sources.list(IngestSourceListOptions(limit=250)).data if source.type == "cron"] == [made.id]
    sources.delete("tick")
