"""What is known of each provider's requests, right and wrong, sent to a running server."""

import base64
import json
import pathlib
import tomllib
import urllib.parse

import pytest

from conftest import Posthaste
from inbound import Source, call

SIGNATURE = pathlib.Path(__file__).parent.parent.parent / "crates" / "posthaste-signature"
FIXTURES = sorted((SIGNATURE / "tests" / "fixtures").glob("*_vectors.jsonl"))
VECTORS = [json.loads(line) for fixture in FIXTURES for line in fixture.read_text().splitlines()]
PROVIDERS = sorted({vector["provider"] for vector in VECTORS})

# The vectors hold requests of a moment, and the server looks at its own clock: what is judged by age cannot be told
# here, and sources are set not to judge it.
BY_AGE = {"timestamp-expired", "timestamp-future", "token-expired"}
# What these sign names the address, and that of a door is another each time.
BY_ADDRESS = {
    "contentful", "hubspot", "jira-connect", "mandrill", "messagebird", "plivo", "square", "truelayer", "twilio",
}
# Their tokens end, and those of the vectors have ended.
BY_CLOCK = {"google-pubsub", "monday", "wix"}
# These are confirmed at the provider's own host.
BY_FETCHING = {"aws-sns/handshake/subscription-confirmation", "aws-sns/valid-subscription-confirmation"}
# What a source has to be told before it can be, and these handshakes do not need.
NOT_NEEDED = {
    "azure-event-grid": {"query": "token"},
    "intercom": {"secret": "a secret"},
    "mailchimp": {"secret": "a secret", "query": "token"},
    "monday": {"audience": "https://example.com/"},
    "surveymonkey": {"secret": "a secret"},
    "trello": {"secret": "a secret", "callback_url": "https://example.com/"},
    "vercel-log-drains": {"secret": "a secret"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Posthaste(tmp_path_factory.mktemp("vectors"))
    yield server
    server.stop()


def can_be_told(vector):
    if vector.get("reason") in BY_AGE or vector["id"] in BY_FETCHING:
        return False
    return vector["expected"] == "invalid" or vector["provider"] not in BY_ADDRESS | BY_CLOCK


def config_of(vector):
    config = dict(vector["config"] or {}) | {"toleranceSeconds": None}
    if vector["kind"] == "handshake":
        config = NOT_NEEDED.get(vector["provider"], {}) | config
    secret = vector["secret"]
    if secret is not None:
        config["secrets" if isinstance(secret, list) else "secret"] = secret
    if vector["variant"]:
        config["variant"] = vector["variant"]
    return config


def differences(vector, answer):
    """What of an expected answer to a handshake is missing in the one that came."""
    expected, valid = vector.get("expected_response") or {}, vector["expected"] == "valid"
    if not valid and expected.get("status", 200) < 400:
        expected = {"status": 401}
    wrong = [] if expected["status"] == answer.status else ["status"]
    for name, value in expected.get("headers", {}).items():
        if value not in answer.headers.get(name.lower(), ""):
            wrong.append(name)
    if "body" in expected and expected["body"].encode() != answer.body:
        wrong.append("body")
    if "body_json" in expected and expected["body_json"] != answer.json():
        wrong.append("body_json")
    return wrong


class Doors:
    """One source for each configuration that the vectors of a provider name."""

    def __init__(self, server):
        self.server, self.sources = server, {}

    def of(self, vector):
        config = config_of(vector)
        key = json.dumps([config, vector["kind"], vector["method"]], sort_keys=True)
        if key not in self.sources:
            methods = {} if vector["kind"] == "handshake" else {"methods": [vector["method"]]}
            source = Source(self.server, vector["provider"], config, dedupe={"by": "off"}, **methods)
            source.taken = 0
            self.sources[key] = source
        return self.sources[key]


def knock(source, vector):
    body = base64.b64decode(vector["body_base64"] or "")
    query = urllib.parse.urlsplit(vector["url"]).query
    return source.knock(body, vector["headers"], vector["method"], query)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_request_of_a_provider_gets_the_answer_that_it_should(server, provider):
    doors, wrong = Doors(server), []
    for vector in VECTORS:
        if vector["provider"] != provider or not can_be_told(vector):
            continue
        source = doors.of(vector)
        answer = knock(source, vector)
        valid = vector["expected"] == "valid"
        source.taken += valid and vector["kind"] == "delivery"
        if vector["kind"] == "handshake":
            differs = differences(vector, answer)
            wrong += [(vector["id"], differs, answer)] if differs else []
        elif answer.status != 401 if not valid else answer.status // 100 != 2:
            wrong.append((vector["id"], vector["expected"], answer))
    assert not wrong, "\n".join(map(str, wrong))
    for source in doors.sources.values():
        assert len(source.messages()) == source.taken


def test_most_vectors_can_be_told_here():
    assert sum(map(can_be_told, VECTORS)) > 1_900


def test_every_provider_of_the_table_can_be_a_source_or_says_what_it_lacks(server):
    for slug in tomllib.loads((SIGNATURE / "providers.toml").read_text()):
        body = {"name": slug, "type": slug, "config": {"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
        answer = call(server, "POST", "/ingest/api/v1/source", body)
        assert answer.status in (201, 422), (slug, answer)
        if answer.status == 422:
            assert answer.json()["detail"][0]["loc"] == ["body", "config"], (slug, answer)
            assert "`" in answer.json()["detail"][0]["msg"], (slug, answer)
