"""Sources and their endpoints through the official Python SDK, unmodified, in whichever generation is installed."""

import base64
import contextlib
import json
import typing
import uuid

import pytest
import standardwebhooks
from svix import api
from svix.api.ingest_source import IngestSourceListOptions

from conftest import DEADLINE_S
from inbound import ask, call, github, hub_signature

# The second generation of the SDK gave some calls other names.
SECOND = hasattr(api, "IngestEndpointUpsertIn")
SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes or more").decode()
PUBLIC_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
PAYLOAD = b'{"zen":"Keep it logically awesome."}'

TYPES = sorted(typing.get_args(a)[0] for a in typing.get_args(api.IngestSourceIn.model_fields["type"].annotation))
CONFIGS = {
    "adobe-sign": {"clientId": "CBJCHBCAABAAo6-nWzEbVfZKpBJTqwUi"},
    "generic-webhook": {},
    "meta": {"secret": "app-secret", "verifyToken": "a token of ours"},
    "orum-io": {"publicKey": PUBLIC_KEY},
    "tailscale": {"secret": "tskey-webhook-xxxxx", "timestampGraceSeconds": 300},
    "telnyx": {"publicKey": PUBLIC_KEY},
}


def sdk(posthaste, token=None):
    return api.Svix(token or posthaste.token, api.SvixOptions(server_url=posthaste.url)).ingest


def source_in(kind="github", config=None, **fields):
    config = CONFIGS.get(kind, {"secret": SECRET}) if config is None else config
    return api.IngestSourceIn.model_validate({"name": f"From {kind}", "type": kind, "config": config, **fields})


@contextlib.contextmanager
def refused(status):
    with pytest.raises(Exception) as error:
        yield
    assert error.value.status_code == status, error.value


def upsert_source(ingest, source_id, body):
    return (ingest.source.upsert if SECOND else ingest.source.update)(source_id, body)


def upsert_endpoint(ingest, source_id, endpoint_id, **fields):
    if SECOND:
        return ingest.endpoint.upsert(source_id, endpoint_id, api.IngestEndpointUpsertIn(**fields))
    return ingest.endpoint.update(source_id, endpoint_id, api.IngestEndpointUpdate(**fields))


def set_headers(ingest, source_id, endpoint_id, headers):
    set_them = ingest.endpoint.set_headers if SECOND else ingest.endpoint.update_headers
    set_them(source_id, endpoint_id, api.IngestEndpointHeadersIn(headers=headers))


def transformation(ingest, source_id, endpoint_id):
    if SECOND:
        return ingest.endpoint.transformation.get(source_id, endpoint_id)
    return ingest.endpoint.get_transformation(source_id, endpoint_id)


def set_transformation(ingest, source_id, endpoint_id):
    patch = api.IngestEndpointTransformationPatch(code="function handler(w) { return w }", enabled=True)
    if SECOND:
        return ingest.endpoint.transformation.patch(source_id, endpoint_id, patch)
    return ingest.endpoint.set_transformation(source_id, endpoint_id, patch)


def door(posthaste, source):
    return posthaste.url + "/in/" + source.ingest_url.rsplit("/in/", 1)[1]


def knock(url, secret=SECRET, **headers):
    return ask(url, "POST", github(secret, PAYLOAD) | headers, PAYLOAD)


@pytest.fixture
def ingest(posthaste):
    return sdk(posthaste)


@pytest.fixture
def source(ingest):
    return ingest.source.create(source_in())


@pytest.mark.parametrize(
    "kind", [kind for kind in TYPES if kind != "cron"]
)
def test_a_source_of_every_type_is_made_and_read_back_without_its_secret(posthaste, ingest, kind):
    source = ingest.source.create(source_in(kind, metadata={"team": "billing"}))
    assert source.id.startswith("src_")
    assert source.type == kind
    assert source.metadata == {"team": "billing"}
    assert source.ingest_url.startswith(posthaste.url + "/in/")
    assert ingest.source.get(source.id) == source
    shown = call(posthaste, "GET", f"/ingest/api/v1/source/{source.id}")
    for value in CONFIGS.get(kind, {"secret": SECRET}).values():
        public = value in (PUBLIC_KEY, 300)
        assert public or str(value).encode() not in shown.body, shown


def test_a_type_beyond_svixs_is_made_and_used_over_plain_http(posthaste):
    body = {"name": "From GitLab", "type": "gitlab", "config": {"secret": "a token"}}
    token = posthaste.new_token("beyond")
    made = call(posthaste, "POST", "/ingest/api/v1/source", body, token)
    assert (made.status, made.json()["type"]) == (201, "gitlab")
    url = posthaste.url + "/in/" + made.json()["ingestUrl"].rsplit("/in/", 1)[1]
    assert [ask(url, "POST", {"X-Gitlab-Token": t}, PAYLOAD).status for t in ("a token", "b")] == [200, 401]


def test_an_unknown_type_is_refused_and_named(posthaste):
    answer = call(posthaste, "POST", "/ingest/api/v1/source", {"name": "Somebody", "type": "no-such-provider"})
    assert answer.status == 422
    assert ["body", "type"] in [field["loc"] for field in answer.json()["detail"]]


def test_a_source_is_found_by_its_uid_changed_and_deleted(posthaste, ingest):
    uid = f"source-{uuid.uuid4()}"
    source = ingest.source.create(source_in(uid=uid))
    assert ingest.source.get(uid).id == source.id
    changed = upsert_source(ingest, uid, source_in("stripe", uid=uid, metadata={"a": "b"}))
    assert (changed.id, changed.type, changed.metadata) == (source.id, "stripe", {"a": "b"})
    assert changed.ingest_url == source.ingest_url
    assert changed.updated_at >= source.updated_at and changed.created_at == source.created_at
    ingest.source.delete(uid)
    for gone in (uid, source.id):
        with refused(404):
            ingest.source.get(gone)
    with refused(404):
        ingest.source.delete(uid)
    assert knock(door(posthaste, source)).status == 404


def test_putting_a_source_under_a_uid_of_nobody_makes_it(ingest):
    uid = f"source-{uuid.uuid4()}"
    made = upsert_source(ingest, uid, source_in(uid=uid))
    assert (made.uid, ingest.source.get(uid).id) == (uid, made.id)


def test_a_taken_uid_is_a_conflict(ingest):
    uid = f"source-{uuid.uuid4()}"
    ingest.source.create(source_in(uid=uid))
    with refused(409):
        ingest.source.create(source_in("slack", uid=uid))


def test_a_patch_changes_what_it_names_and_leaves_the_secret(posthaste, source):
    path = f"/ingest/api/v1/source/{source.id}"
    answer = call(posthaste, "PATCH", path, {"name": "Another name", "metadata": {"a": "b"}})
    assert answer.status == 200, answer
    patched = answer.json()
    assert (patched["name"], patched["metadata"], patched["type"]) == ("Another name", {"a": "b"}, "github")
    assert patched["ingestUrl"] == source.ingest_url
    assert knock(door(posthaste, source)).status == 200
    assert knock(door(posthaste, source), "another secret").status == 401


def test_a_patched_secret_counts_at_once_and_several_may_be_live(posthaste, source):
    path, url = f"/ingest/api/v1/source/{source.id}", door(posthaste, source)
    assert knock(url).status == 200
    assert call(posthaste, "PATCH", path, {"config": {"secrets": ["newer secret", SECRET]}}).status == 200
    assert [knock(url, secret).status for secret in ("newer secret", SECRET, "other")] == [200, 200, 401]
    assert call(posthaste, "PATCH", path, {"config": {"secret": "newer secret"}}).status == 200
    assert [knock(url, secret).status for secret in ("newer secret", SECRET)] == [200, 401]


def test_sources_are_listed_page_by_page_in_both_orders(posthaste):
    ingest = sdk(posthaste, posthaste.new_token(f"list-{uuid.uuid4().hex[:8]}"))
    made = [ingest.source.create(source_in(name=f"Number {n}")).id for n in range(5)]
    listed = []
    for order in (api.Ordering.ASCENDING, api.Ordering.DESCENDING):
        listed.append([])
        iterator = None
        while True:
            page = ingest.source.list(IngestSourceListOptions(limit=2, iterator=iterator, order=order))
            assert len(page.data) <= 2
            listed[-1] += [source.id for source in page.data]
            if page.done:
                break
            iterator = page.iterator
    assert listed == [made, made[::-1]]


def test_a_source_of_another_environment_is_not_found(posthaste, ingest, source, handler):
    endpoint = ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url))
    foreign = sdk(posthaste, posthaste.new_token("foreign"))
    assert source.id not in [known.id for known in foreign.source.list().data]
    for attempt in (
        lambda: foreign.source.get(source.id),
        lambda: foreign.source.delete(source.id),
        lambda: upsert_source(foreign, source.id, source_in()),
        lambda: foreign.source.rotate_token(source.id),
        lambda: foreign.endpoint.list(source.id),
        lambda: foreign.endpoint.get(source.id, endpoint.id),
        lambda: foreign.endpoint.get_secret(source.id, endpoint.id),
        lambda: foreign.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url)),
    ):
        with refused(404):
            attempt()
    token = posthaste.new_token("foreign")
    for path in ("/log", ""):
        assert call(posthaste, "GET", f"/ingest/api/v1/source/{source.id}{path}", token=token).status == 404
    app = call(posthaste, "GET", f"/ingest/api/v1/source/{source.id}").json()["appId"]
    assert call(posthaste, "GET", f"/api/v1/app/{app}/msg", token=token).status == 404
    assert ingest.source.get(source.id).id == source.id


def test_without_a_token_nothing_is_told(posthaste, source):
    for method, path in (("GET", ""), ("GET", f"/{source.id}"), ("POST", f"/{source.id}/token/rotate")):
        assert call(posthaste, method, f"/ingest/api/v1/source{path}", token="phk_wrong").status == 401


def test_endpoints_are_made_listed_changed_and_deleted(ingest, source, handler):
    endpoint = ingest.endpoint.create(
        source.id, api.IngestEndpointIn(url=handler.url, description="ours", uid="one", metadata={"a": "b"})
    )
    other = ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url + "/2", throttle_rate=50))
    assert (endpoint.url, endpoint.description, endpoint.uid) == (handler.url, "ours", "one")
    assert endpoint.metadata == {"a": "b"} and endpoint.disabled is False
    assert ingest.endpoint.get(source.id, "one").id == endpoint.id
    assert {known.id for known in ingest.endpoint.list(source.id).data} == {endpoint.id, other.id}
    changed = upsert_endpoint(ingest, source.id, endpoint.id, url=handler.url + "/3", disabled=True, uid="one")
    assert (changed.id, changed.url, changed.disabled) == (endpoint.id, handler.url + "/3", True)
    ingest.endpoint.delete(source.id, other.id)
    with refused(404):
        ingest.endpoint.get(source.id, other.id)
    assert [known.id for known in ingest.endpoint.list(source.id).data] == [endpoint.id]


def test_an_endpoint_of_one_source_is_not_found_in_another(ingest, source, handler):
    endpoint = ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url))
    other = ingest.source.create(source_in())
    with refused(404):
        ingest.endpoint.get(other.id, endpoint.id)


def test_a_rotated_endpoint_signs_with_both_secrets(posthaste, ingest, source, handler):
    given = "whsec_" + base64.b64encode(b"b" * 24).decode()
    endpoint = ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url, secret=given))
    assert ingest.endpoint.get_secret(source.id, endpoint.id).key == given
    ingest.endpoint.rotate_secret(source.id, endpoint.id, api.IngestEndpointSecretIn())
    fresh = ingest.endpoint.get_secret(source.id, endpoint.id).key
    assert fresh != given
    assert knock(door(posthaste, source)).status == 200
    handled = handler.got(1)[0]
    for secret in (given, fresh):
        standardwebhooks.Webhook(secret).verify(handled.body, handled.headers)


def test_headers_of_an_endpoint_go_out_and_credentials_are_not_shown(posthaste, ingest, source, handler):
    # The first generation of the SDK cannot say them at once.
    first = {"X-First": "1"} if SECOND else {}
    endpoint = ingest.endpoint.create(
        source.id, api.IngestEndpointIn.model_validate({"url": handler.url, "headers": first})
    )
    assert ingest.endpoint.get_headers(source.id, endpoint.id).headers == first
    set_headers(ingest, source.id, endpoint.id, {"X-Ours": "yes", "Authorization": "Bearer hush"})
    shown = ingest.endpoint.get_headers(source.id, endpoint.id)
    assert shown.headers == {"X-Ours": "yes"}
    assert [name.lower() for name in shown.sensitive] == ["authorization"]
    assert knock(door(posthaste, source)).status == 200
    headers = handler.got(1)[0].headers
    assert (headers["x-ours"], headers["authorization"]) == ("yes", "Bearer hush")
    assert "x-first" not in headers


def test_transformations_are_clearly_not_supported(ingest, source, handler):
    endpoint = ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url))
    for attempt in (transformation, set_transformation):
        with refused(501):
            attempt(ingest, source.id, endpoint.id)


def test_a_link_to_the_pages_of_a_source_is_given(ingest, source):
    access = api.IngestSourceConsumerPortalAccessIn(expiry=3600)
    make = ingest.authentication.consumer_portal_access if SECOND else ingest.dashboard
    link = make(source.id, access)
    assert link.url.startswith("http") and link.token


def test_after_a_rotation_the_old_url_works_for_a_while_and_the_new_one_at_once(posthaste, ingest, source, handler):
    ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url))
    rotated = ingest.source.rotate_token(source.id)
    assert rotated.ingest_url != source.ingest_url
    assert ingest.source.get(source.id).ingest_url == rotated.ingest_url
    assert [knock(door(posthaste, known)).status for known in (source, rotated)] == [200, 200]
    handler.got(2)


def test_what_was_refused_is_in_the_log_with_the_reason_and_without_the_secret(posthaste, ingest, source):
    url = door(posthaste, source)
    assert knock(url, "another secret", **{"X-Marker": "first"}).status == 401
    assert knock(url, "another secret", **{"X-Marker": "second"}).status == 401
    assert knock(url).status == 200
    rows = wait_for_log(posthaste, source.id, 2)
    assert [row["headers"]["x-marker"] for row in rows] == ["second", "first"]
    for row in rows:
        assert row["id"].startswith("log")
        assert (row["source_id"], row["status_code"]) == (source.id, 401)
        assert "signature" in row["error_text"].lower()
        assert row["payload"] == PAYLOAD.decode()
        assert row["created_at"] and row["updated_at"]
    text = str(rows)
    assert SECRET not in text and hub_signature(SECRET, PAYLOAD) not in text
    path = f"/ingest/api/v1/source/{source.id}/log"
    page = call(posthaste, "GET", f"{path}?limit=1&order=ascending").json()
    assert [row["headers"]["x-marker"] for row in page["data"]] == ["first"]
    page = call(posthaste, "GET", f"{path}?limit=1&order=ascending&iterator={page['iterator']}").json()
    assert [row["headers"]["x-marker"] for row in page["data"]] == ["second"]


def wait_for_log(posthaste, source_id, count):
    """Refused requests are kept a moment after they were answered: asks until they are there."""
    for _ in range(100 * DEADLINE_S):
        rows = call(posthaste, "GET", f"/ingest/api/v1/source/{source_id}/log").json()["data"]
        if len(rows) >= count:
            return rows
    raise AssertionError(f"{len(rows)} of {count} refused requests are in the log")


def test_the_same_idempotency_key_makes_one_source(posthaste):
    body = source_in().model_dump(by_alias=True, exclude_none=True)
    headers = {
        "authorization": f"Bearer {posthaste.token}",
        "content-type": "application/json",
        "idempotency-key": str(uuid.uuid4()),
    }
    answers = [ask(f"{posthaste.url}/ingest/api/v1/source", "POST", headers, json.dumps(body).encode()) for _ in "ab"]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_the_hidden_app_answers_for_what_came_in_and_is_not_listed(posthaste, ingest, source, handler):
    ingest.endpoint.create(source.id, api.IngestEndpointIn(url=handler.url))
    app = call(posthaste, "GET", f"/ingest/api/v1/source/{source.id}").json()["appId"]
    assert knock(door(posthaste, source)).status == 200
    handler.got(1)
    client = api.Svix(posthaste.token, api.SvixOptions(server_url=posthaste.url))
    messages = client.message.list(app).data
    assert [message.event_type for message in messages] == ["push"]
    assert app not in [known.id for known in client.application.list().data]
    endpoint = ingest.endpoint.list(source.id).data[0]
    client.message_attempt.resend(app, messages[0].id, endpoint.id)
    first, second = handler.got(2)
    assert first.body == second.body == PAYLOAD
    assert second.headers["x-hub-signature-256"] == hub_signature(SECRET, PAYLOAD)
