//! WeChat: `errcode` in a 200.

use super::{BEARER, Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(30),
    rules: &[
        codes(Class::ServerError, &["errcode=-1"]),
        codes(Class::InvalidToken, &["errcode=40001", "errcode=40014", "errcode=42001", "errcode=41001"]).at(BEARER),
        codes(Class::InvalidClient, &["errcode=40001", "errcode=40013", "errcode=40125", "errcode=41002",
            "errcode=41004"]),
        codes(Class::PolicyBlocked, &["errcode=40164", "errcode=61004"]),
        codes(Class::UnsupportedGrantType, &["errcode=40002"]),
        codes(Class::InvalidGrant, &["errcode=40029"]),
        codes(Class::CodeReused, &["errcode=40163"]),
        codes(Class::CodeExpired, &["errcode=42003"]),
        codes(Class::InvalidGrant, &["errcode=40030"]),
        codes(Class::RefreshTokenExpired, &["errcode=42002", "errcode=42007"]),
        codes(Class::InvalidRequest, &["errcode=41003", "errcode=41008"]),
        codes(Class::InsufficientScope, &["errcode=48001", "errcode=50001"]),
        codes(Class::RateLimited, &["errcode=45009", "errcode=45011", "errcode=45047"]),
        codes(Class::AccountLocked, &["errcode=50002"]),
        codes(Class::RedirectUriMismatch, &["errcode=10003"]),
        codes(Class::InvalidScope, &["errcode=10005"]),
    ],
    ..Provider::named("wechat", &["weixin"])
};
