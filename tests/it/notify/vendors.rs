//! What vendors get, and what becomes of their answers.

use super::*;

#[tokio::test]
async fn slack_posts_once_changes_in_place_and_tells_the_end_in_the_thread() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let chat = channel(json!({"slack": {
        "token": desk.secret(SECRET), "channel": "C0123456789", "api": receiver.url("/api"),
    }}));
    let posted = json!({"ok": true, "channel": "C0123456789", "ts": "1503435956.000247"});
    receiver.answer(Answer::json(&posted));
    let first = desk.deliver(&chat, Event::Fired).await.unwrap();
    receiver.answer(Answer::json(
        &json!({"ok": true, "ts": "1503435956.000247"}),
    ));
    let second = desk
        .follow(&chat, Event::Updated, Some(&first))
        .await
        .unwrap();
    receiver.answer(Answer::json(
        &json!({"ok": true, "ts": "1503435956.000247"}),
    ));
    receiver.answer(Answer::json(
        &json!({"ok": true, "channel": "C0123456789", "ts": "1503435999.000001"}),
    ));
    desk.follow(&chat, Event::Resolved, Some(&second))
        .await
        .unwrap();

    let calls = receiver.calls();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/api/chat.postMessage",
            "/api/chat.update",
            "/api/chat.update",
            "/api/chat.postMessage"
        ]
    );
    for call in &calls {
        assert_eq!(call.header("authorization"), format!("Bearer {SECRET}"));
        assert_eq!(call.json["channel"], "C0123456789");
        assert!(!call.body.contains(SECRET));
    }
    assert_eq!(
        calls[0].json["metadata"]["event_payload"]["key"],
        key(Event::Fired).to_string()
    );
    assert_eq!(calls[1].json["ts"], "1503435956.000247");
    assert_eq!(calls[2].json["attachments"][0]["color"], "#2e7d32");
    assert_eq!(calls[3].json["thread_ts"], "1503435956.000247");
    assert!(
        calls[3].json["text"]
            .as_str()
            .unwrap()
            .starts_with("Resolved after")
    );
}

#[tokio::test]
async fn what_slack_says_decides_not_its_status() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let chat = channel(json!({"slack": {
        "token": desk.secret(SECRET), "channel": "C0123456789", "api": receiver.url("/api"),
    }}));
    let earlier = Receipt {
        said: String::new(),
        handle: Some("C0123456789 1503435956.000247".to_owned()),
    };
    // A message that is gone is posted anew.
    receiver.answer(Answer::json(
        &json!({"ok": false, "error": "message_not_found"}),
    ));
    receiver.answer(Answer::json(
        &json!({"ok": true, "channel": "C0123456789", "ts": "2.1"}),
    ));
    let receipt = desk
        .follow(&chat, Event::Updated, Some(&earlier))
        .await
        .unwrap();
    assert_eq!(receipt.handle.as_deref(), Some("C0123456789 2.1"));

    for (error, is_refused) in [
        ("invalid_auth", true),
        ("channel_not_found", true),
        ("ratelimited", false),
    ] {
        receiver.answer(Answer::json(&json!({"ok": false, "error": error})));
        let failure = desk.deliver(&chat, Event::Fired).await.unwrap_err();
        assert_eq!(
            matches!(failure, Failure::Refused { .. }),
            is_refused,
            "{failure:?}"
        );
        assert!(failure.to_string().contains(error), "{failure}");
    }
    receiver.answer(Answer::status(200).body("<html>a proxy"));
    let failure = desk.deliver(&chat, Event::Fired).await.unwrap_err();
    assert!(matches!(failure, Failure::Retry { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_slack_webhook_gets_what_it_understands() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let url = receiver.url(&format!("/services/{SECRET}"));
    let chat = channel(json!({"slack": {"url": desk.secret(&url)}}));
    desk.deliver(&chat, Event::Fired).await.unwrap();
    let call = receiver.only();
    assert!(
        call.json["text"].is_string() && call.json.get("metadata").is_none(),
        "{}",
        call.json
    );
}

#[tokio::test]
async fn discord_posts_once_and_changes_in_place() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let url = receiver.url(&format!("/api/webhooks/1/{SECRET}"));
    let chat = channel(json!({"discord": {"url": desk.secret(&url)}}));
    receiver.answer(Answer::json(&json!({"id": "4711"})));
    let first = desk.deliver(&chat, Event::Fired).await.unwrap();
    assert_eq!(first.said, "status 200: message 4711");
    desk.follow(&chat, Event::Updated, Some(&first))
        .await
        .unwrap();
    desk.follow(&chat, Event::Resolved, Some(&first))
        .await
        .unwrap();
    receiver.answer(Answer::status(404).body("Unknown Message"));
    receiver.answer(Answer::json(&json!({"id": "4712"})));
    let anew = desk
        .follow(&chat, Event::Updated, Some(&first))
        .await
        .unwrap();
    assert_eq!(anew.handle.as_deref(), Some("4712"));

    let line =
        |call: &receiver::Call| format!("{} {}", call.method, call.path.replace(SECRET, "…"));
    let lines: Vec<String> = receiver.calls().iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "POST /api/webhooks/1/…?wait=true",
            "PATCH /api/webhooks/1/…/messages/4711",
            "PATCH /api/webhooks/1/…/messages/4711",
            "POST /api/webhooks/1/…?wait=true",
            "PATCH /api/webhooks/1/…/messages/4711",
            "POST /api/webhooks/1/…?wait=true",
        ]
    );
}

#[tokio::test]
async fn pagerduty_triggers_acknowledges_and_resolves_under_one_key() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let oncall = channel(
        json!({"pagerduty": {"routing_key": desk.secret(SECRET), "api": receiver.url("/")}}),
    );
    let taken = json!({"status": "success", "message": "Event processed", "dedup_key": "authcanary-4f2c91d07a3be658"});
    for event in [Event::Fired, Event::Acknowledged, Event::Resolved] {
        receiver.answer(Answer::status(202).body(&taken.to_string()));
        let receipt = desk.deliver(&oncall, event).await.unwrap();
        assert_eq!(
            receipt.handle.as_deref(),
            Some("authcanary-4f2c91d07a3be658")
        );
    }
    let calls = receiver.calls();
    let actions: Vec<&Value> = calls
        .iter()
        .map(|call| &call.json["event_action"])
        .collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve"]);
    for call in &calls {
        assert_eq!(call.path, "/v2/enqueue");
        assert_eq!(call.json["routing_key"], SECRET);
        assert_eq!(call.json["dedup_key"], "authcanary-4f2c91d07a3be658");
    }
    let wrong =
        json!({"status": "invalid event", "errors": [format!("routing key {SECRET} is unknown")]});
    receiver.answer(Answer::status(400).body(&wrong.to_string()));
    assert!(why(desk.deliver(&oncall, Event::Fired).await).contains("invalid event"));
}

#[tokio::test]
async fn opsgenie_creates_notes_and_closes_by_alias() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let oncall =
        channel(json!({"opsgenie": {"api_key": desk.secret(SECRET), "api": receiver.url("")}}));
    for event in [
        Event::Fired,
        Event::Updated,
        Event::Acknowledged,
        Event::Resolved,
    ] {
        desk.deliver(&oncall, event).await.unwrap();
    }
    let calls = receiver.calls();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    let alias = "/v2/alerts/authcanary-4f2c91d07a3be658";
    assert_eq!(
        paths,
        [
            "/v2/alerts".to_owned(),
            format!("{alias}/notes?identifierType=alias"),
            format!("{alias}/acknowledge?identifierType=alias"),
            format!("{alias}/close?identifierType=alias"),
        ]
    );
    assert_eq!(calls[0].json["alias"], "authcanary-4f2c91d07a3be658");
    for call in &calls {
        assert_eq!(call.header("authorization"), format!("GenieKey {SECRET}"));
    }
}

#[tokio::test]
async fn one_member_of_an_alertmanager_cluster_is_enough_and_changed_labels_end_the_old_alert() {
    let (one, other) = (Receiver::start().await, Receiver::start().await);
    let desk = Desk::new();
    let cluster = channel(json!({"alertmanager": {
        "urls": [one.url("/"), other.url("/prefix")],
        "headers": {"Authorization": desk.secret(SECRET)},
    }}));
    one.answer(Answer::status(500));
    let first = desk.deliver(&cluster, Event::Fired).await.unwrap();
    assert_eq!(first.said, "1 of 2 took it: status 200: ok");
    assert_eq!(one.only().path, "/api/v2/alerts");
    assert_eq!(other.only().path, "/prefix/api/v2/alerts");
    assert_eq!(other.only().header("authorization"), SECRET);

    let mut news = news(Event::Updated);
    news.alert
        .labels
        .insert("team".to_owned(), "platform".to_owned());
    let notice = cluster.compose(&news, &key(Event::Updated), Some(1), &Origin::default());
    let second = cluster
        .deliver(&notice, Some(&first), &desk.edge)
        .await
        .unwrap();
    assert!(second.said.starts_with("2 of 2"), "{second:?}");
    let alerts = other.calls().pop().unwrap().json;
    assert_eq!(alerts[0]["labels"]["team"], "platform");
    assert_eq!(alerts[1]["labels"]["team"], "identity");
    let end = |alert: &Value| {
        alert["endsAt"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert!(
        end(&alerts[0]) > news.at && end(&alerts[1]) <= news.at,
        "{alerts:#}"
    );

    one.answer(Answer::status(500));
    other.answer(Answer::status(400));
    desk.deliver(&cluster, Event::Fired).await.unwrap_err();
}

#[tokio::test]
async fn ntfy_gets_topic_and_token_and_neither_comes_back() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let phone = channel(json!({"ntfy": {
        "url": receiver.url("/"), "topic": desk.secret("topic-only-we-know"), "token": desk.secret(SECRET),
    }}));
    receiver.answer(Answer::json(
        &json!({"id": "xE73Iyuabi", "topic": "topic-only-we-know"}),
    ));
    let receipt = desk.deliver(&phone, Event::Fired).await.unwrap();
    assert_eq!(receipt.said, "status 200: message xE73Iyuabi");
    let call = receiver.only();
    assert_eq!(call.json["topic"], "topic-only-we-know");
    assert_eq!(call.header("authorization"), format!("Bearer {SECRET}"));
    receiver.answer(Answer::status(403).body("forbidden: topic-only-we-know"));
    let why = why(desk.deliver(&phone, Event::Fired).await);
    assert!(!why.contains("topic-only-we-know"), "{why}");
}

#[tokio::test]
async fn teams_gets_an_adaptive_card() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let teams = channel(json!({"teams": {"url": desk.secret(&receiver.url("/workflows/1"))}}));
    receiver.answer(Answer::status(202));
    assert_eq!(
        desk.deliver(&teams, Event::Fired).await.unwrap().said,
        "status 202"
    );
    let card = &receiver.only().json["attachments"][0];
    assert_eq!(
        card["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(card["content"]["type"], "AdaptiveCard");
}
