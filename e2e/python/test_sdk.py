"""The official Python SDK, unmodified, in whichever generation is installed."""

import base64
import datetime
import json
import uuid

import jwt
import pytest
import standardwebhooks
import svix
from svix import api

from conftest import wait_for_attempts

def sdk(posthaste, token=None):
    return api.Svix(token or posthaste.token, api.SvixOptions(server_url=posthaste.url))


def new_app(client, **fields):
    return client.application.create(api.ApplicationIn(name="A customer", **fields))


def new_endpoint(client, app, receiver, **fields):
    return client.endpoint.create(app.id, api.EndpointIn(url=receiver.url, **fields))


def send(client, app, payload=None, event_type="user.created", **fields):
    message = api.MessageIn(event_type=event_type, payload=payload or {"hello": "world"}, **fields)
    return client.message.create(app.id, message)


def whole(client, app, message):
    """With its payload, which SDKs of the second generation leave out unless asked."""
    return client.message.get(app.id, message.id, api.MessageGetOptions(with_content=True))


@pytest.fixture
def client(posthaste):
    return sdk(posthaste)


@pytest.fixture
def app(client):
    return new_app(client)


def test_an_app_is_made_read_changed_and_deleted(client):
    uid = f"customer-{uuid.uuid4()}"
    app = new_app(client, uid=uid, metadata={"plan": "pro"})
    assert client.application.get(uid).id == app.id
    assert client.application.get(app.id).metadata == {"plan": "pro"}
    assert client.application.get_or_create(api.ApplicationIn(name="again", uid=uid)).id == app.id
    assert client.application.patch(app.id, api.ApplicationPatch(name="B")).name == "B"
    client.application.delete(app.id)
    with pytest.raises(Exception) as error:
        client.application.get(app.id)
    assert getattr(error.value, "status_code", 404) == 404


def test_a_taken_uid_is_a_conflict(client):
    uid = f"customer-{uuid.uuid4()}"
    new_app(client, uid=uid)
    with pytest.raises(Exception) as error:
        new_app(client, uid=uid)
    assert error.value.status_code == 409


def test_a_message_arrives_signed_for_both_verifiers(client, app, receiver):
    endpoint = new_endpoint(client, app, receiver)
    secret = client.endpoint.get_secret(app.id, endpoint.id).key
    message = send(client, app, {"name": "Zoë", "n": 1})
    path, headers, body = receiver.got(1)[0]
    assert json.loads(body) == {"name": "Zoë", "n": 1}
    assert headers["webhook-id"] == message.id
    lower = {name.lower(): value for name, value in headers.items()}
    svix.Webhook(secret).verify(body, lower)
    assert standardwebhooks.Webhook(secret).verify(body, lower) == {"name": "Zoë", "n": 1}
    with pytest.raises(Exception):
        standardwebhooks.Webhook(secret).verify(body + b" ", lower)


def test_a_failing_receiver_is_tried_again_and_every_attempt_is_kept(client, app, receiver):
    receiver.answers_with(500, 503)
    new_endpoint(client, app, receiver)
    message = send(client, app)
    receiver.got(3)
    attempts = wait_for_attempts(client, app, message, 3)
    assert sorted(a.response_status_code for a in attempts) == [200, 500, 503]
    assert attempts[0].response == "ok"
    one = client.message_attempt.get(app.id, message.id, attempts[0].id)
    assert one.id == attempts[0].id


def test_attempts_and_messages_are_listed_from_both_sides(client, app, receiver):
    endpoint = new_endpoint(client, app, receiver)
    message = send(client, app)
    receiver.got(1)
    wait_for_attempts(client, app, message, 1)
    assert [a.msg_id for a in client.message_attempt.list_by_endpoint(app.id, endpoint.id).data] == [message.id]
    attempted = client.message_attempt.list_attempted_messages(app.id, endpoint.id).data
    assert [m.id for m in attempted] == [message.id]
    destinations = client.message_attempt.list_attempted_destinations(app.id, message.id).data
    assert [e.id for e in destinations] == [endpoint.id]
    assert whole(client, app, message).payload == {"hello": "world"}
    assert [m.id for m in client.message.list(app.id).data] == [message.id]
    stats = client.endpoint.get_stats(app.id, endpoint.id)
    assert (stats.success, stats.fail) == (1, 0)


def test_only_the_event_types_and_channels_that_were_asked_for_arrive(client, app, receiver):
    # The first generation of the SDK calls them filter types.
    types = "event_types" if "event_types" in api.EndpointIn.__annotations__ else "filter_types"
    new_endpoint(client, app, receiver, channels=["eu"], **{types: ["invoice.paid"]})
    send(client, app, event_type="user.created", channels=["eu"])
    send(client, app, event_type="invoice.paid", channels=["us"])
    wanted = send(client, app, event_type="invoice.paid", channels=["eu"])
    assert receiver.got(1)[0][1]["webhook-id"] == wanted.id
    assert len(receiver.requests) == 1


def test_a_message_is_sent_again_by_hand(client, app, receiver):
    endpoint = new_endpoint(client, app, receiver)
    message = send(client, app)
    receiver.got(1)
    wait_for_attempts(client, app, message, 1)
    client.message_attempt.resend(app.id, message.id, endpoint.id)
    assert {r[1]["webhook-id"] for r in receiver.got(2)} == {message.id}
    attempts = wait_for_attempts(client, app, message, 2)
    assert sorted(int(a.trigger_type) for a in attempts) == [0, 1]


def test_after_a_rotation_both_secrets_sign(client, app, receiver):
    endpoint = new_endpoint(client, app, receiver)
    old = client.endpoint.get_secret(app.id, endpoint.id).key
    client.endpoint.rotate_secret(app.id, endpoint.id, api.EndpointSecretRotateIn())
    new = client.endpoint.get_secret(app.id, endpoint.id).key
    assert new != old
    send(client, app)
    _, headers, body = receiver.got(1)[0]
    headers = {name.lower(): value for name, value in headers.items()}
    for secret in (old, new):
        svix.Webhook(secret).verify(body, headers)


def test_what_failed_is_recovered(client, app, receiver):
    receiver.answers_with(*[500] * 6)
    endpoint = new_endpoint(client, app, receiver)
    messages = [send(client, app) for _ in range(2)]
    receiver.got(6)
    for message in messages:
        wait_for_attempts(client, app, message, 3)
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    task = client.endpoint.recover(app.id, endpoint.id, api.RecoverIn(since=since))
    assert task.id.startswith("qtask_")
    assert {r[1]["webhook-id"] for r in receiver.got(8)[6:]} == {m.id for m in messages}


def test_an_endpoint_is_changed_given_headers_and_deleted(client, app, receiver):
    endpoint = new_endpoint(client, app, receiver, description="first")
    changed = client.endpoint.patch(app.id, endpoint.id, api.EndpointPatch(description="second"))
    assert (changed.description, changed.url) == ("second", endpoint.url)
    headers = api.EndpointHeadersIn(headers={"X-Tenant": "42", "Authorization": "Bearer x"})
    put = getattr(client.endpoint, "update_headers", None) or client.endpoint.set_headers
    put(app.id, endpoint.id, headers)
    shown = client.endpoint.get_headers(app.id, endpoint.id)
    assert shown.headers == {"X-Tenant": "42"}
    assert shown.sensitive == ["Authorization"]
    send(client, app)
    _, got, _ = receiver.got(1)[0]
    lower = {name.lower(): value for name, value in got.items()}
    assert (lower["x-tenant"], lower["authorization"]) == ("42", "Bearer x")
    client.endpoint.delete(app.id, endpoint.id)
    assert client.endpoint.list(app.id).data == []


def test_lists_are_paged_by_iterators(client, posthaste):
    own = sdk(posthaste, posthaste.new_token(f"paging-{uuid.uuid4()}"))
    made = [new_app(own).id for _ in range(5)]
    seen, iterator = [], None
    while True:
        page = own.application.list(api.ApplicationListOptions(limit=2, iterator=iterator))
        seen += [app.id for app in page.data]
        if page.done:
            break
        iterator = page.iterator
    assert seen == made
    back = own.application.list(api.ApplicationListOptions(limit=2, iterator="-" + made[4]))
    assert [app.id for app in back.data] == made[2:4]


def test_event_types_are_kept_with_their_schemas(client):
    name = f"invoice.{uuid.uuid4().hex}"
    schema = {"1": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    made = client.event_type.create(api.EventTypeIn(name=name, description="Paid", schemas=schema))
    assert made.name == name
    assert client.event_type.get(name).schemas == schema
    patched = client.event_type.patch(name, api.EventTypePatch(deprecated=True))
    assert (patched.deprecated, patched.description) == (True, "Paid")
    client.event_type.delete(name)
    assert client.event_type.get(name).archived


def test_an_example_goes_to_one_endpoint(client, app, receiver):
    name = f"example.{uuid.uuid4().hex}"
    schema = {"1": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    client.event_type.create(api.EventTypeIn(name=name, description="x", schemas=schema))
    endpoint = new_endpoint(client, app, receiver)
    message = client.endpoint.send_example(app.id, endpoint.id, api.EventExampleIn(event_type=name))
    assert receiver.got(1)[0][1]["webhook-id"] == message.id
    assert json.loads(receiver.got(1)[0][2]) == {"id": 0}


def test_a_payload_is_expunged_for_good(client, app):
    message = send(client, app, {"secret": "x"})
    client.message.expunge_content(app.id, message.id)
    assert whole(client, app, message).payload == {"expired": True}


def test_the_same_idempotency_key_gives_the_same_message(client, app):
    options = api.MessageCreateOptions(idempotency_key=str(uuid.uuid4()))
    message = api.MessageIn(event_type="a.b", payload={"n": 1})
    first = client.message.create(app.id, message, options)
    assert client.message.create(app.id, message, options).id == first.id
    with pytest.raises(Exception) as error:
        client.message.create(app.id, api.MessageIn(event_type="a.b", payload={"n": 2}), options)
    assert error.value.status_code == 422


def test_an_event_id_is_taken_once(client, app):
    send(client, app, event_id="evt-1")
    with pytest.raises(Exception) as error:
        send(client, app, event_id="evt-1")
    assert error.value.status_code == 409
    assert client.message.get(app.id, "evt-1").event_id == "evt-1"


def test_a_portal_token_touches_its_own_app_and_no_other(posthaste, client, app, receiver):
    other = new_app(client)
    access = client.authentication.app_portal_access(app.id, api.AppPortalAccessIn())
    portal = sdk(posthaste, access.token)
    new_endpoint(portal, app, receiver)
    assert len(portal.endpoint.list(app.id).data) == 1
    for forbidden in (
        lambda: portal.endpoint.list(other.id),
        lambda: portal.application.list(),
        lambda: send(portal, app),
    ):
        with pytest.raises(Exception) as error:
            forbidden()
        assert error.value.status_code in (403, 404)
    portal.authentication.logout()
    with pytest.raises(Exception) as error:
        portal.endpoint.list(app.id)
    assert error.value.status_code == 401


def test_environments_see_nothing_of_each_other(posthaste, client, app, receiver):
    endpoint = new_endpoint(client, app, receiver)
    message = send(client, app)
    foreign = sdk(posthaste, posthaste.new_token(f"other-{uuid.uuid4()}"))
    for look in (
        lambda: foreign.application.get(app.id),
        lambda: foreign.endpoint.get_secret(app.id, endpoint.id),
        lambda: foreign.message.get(app.id, message.id),
        lambda: foreign.message_attempt.resend(app.id, message.id, endpoint.id),
    ):
        with pytest.raises(Exception) as error:
            look()
        assert error.value.status_code == 404


def test_svix_servers_own_tokens_work_and_keep_orgs_apart(posthaste):
    def client_of(org):
        return sdk(posthaste, jwt.encode({"sub": org}, "a secret of svix-server, long enough", algorithm="HS256"))

    one, two = (client_of(f"org_{letter * 27}") for letter in "12")
    app = new_app(one)
    assert one.application.get(app.id).id == app.id
    with pytest.raises(Exception) as error:
        two.application.get(app.id)
    assert error.value.status_code == 404
    forged = jwt.encode({"sub": "org_" + "1" * 27}, "another secret, also long enough for it", algorithm="HS256")
    with pytest.raises(Exception) as error:
        sdk(posthaste, forged).application.list()
    assert error.value.status_code == 401


def test_an_ed25519_secret_signs_what_its_public_key_verifies(client, app, receiver):
    from_seed = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
    endpoint = new_endpoint(client, app, receiver, secret=from_seed)
    assert client.endpoint.get_secret(app.id, endpoint.id).key.startswith("whpk_")
    send(client, app)
    _, headers, _ = receiver.got(1)[0]
    assert headers["webhook-signature"].startswith("v1a,")
    assert len(base64.b64decode(headers["webhook-signature"][4:])) == 64


def test_operational_webhooks_tell_of_a_new_endpoint(posthaste, receiver):
    own = sdk(posthaste, posthaste.new_token(f"ops-{uuid.uuid4()}"))
    if not hasattr(own, "operational_webhook_endpoint") and not hasattr(own, "operational_webhook"):
        pytest.skip("this SDK has no operational webhooks")
    parts = getattr(own, "operational_webhook_endpoint", None) or own.operational_webhook.endpoint
    parts.create(api.OperationalWebhookEndpointIn(url=receiver.url))
    app = new_app(own)
    endpoint = own.endpoint.create(app.id, api.EndpointIn(url=receiver.url + "/customer"))
    told = json.loads(receiver.got(1)[0][2])
    assert told["type"] == "endpoint.created"
    assert told["data"]["endpointId"] == endpoint.id


def test_the_server_says_that_it_is_healthy(client):
    client.health.get()
