//! Microsoft Entra ID: `AADSTS` codes, which stand at the beginning of `error_description` and in pages. The `error`
//! beside them is often a rough or a wrong one.

use super::{Fact, Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    prefix: Some("AADSTS"),
    refresh_token_days: Some(90),
    rules: &[
        // Credentials of the client.
        codes(Class::ClientSecretExpired, &["AADSTS7000222"]),
        codes(Class::ClientSecretExpired, &["AADSTS700027", "AADSTS50012", "AADSTS7000215", "AADSTS700030"]).says(&["key used is expired", "is expired", "expired"]),
        codes(Class::ClockSkew, &["AADSTS700024", "AADSTS80013", "AADSTS76026"]),
        codes(Class::ClockSkew, &["AADSTS50012", "AADSTS700027"]).says(&["not within its valid time", "valid time range"]),
        codes(Class::ClientDisabled, &["AADSTS7000112", "AADSTS700011", "AADSTS500014"]),
        codes(Class::ClientDisabled, &["AADSTS70001"]).says(&["disabled"]),
        codes(Class::UnauthorizedClient, &["AADSTS7000113", "AADSTS7000114", "AADSTS700229", "AADSTS9002327", "AADSTS9002326", "AADSTS900436", "AADSTS7000131", "AADSTS700046", "AADSTS700047", "AADSTS240001", "AADSTS1002012", "AADSTS1002016", "AADSTS90130", "AADSTS700052"]),
        codes(Class::InvalidClient, &["AADSTS700016", "AADSTS50012", "AADSTS7000215", "AADSTS7000216", "AADSTS7000217", "AADSTS7000218", "AADSTS7000219", "AADSTS7000214", "AADSTS700021", "AADSTS700023", "AADSTS700025", "AADSTS700026", "AADSTS700027", "AADSTS700030", "AADSTS700211", "AADSTS700212", "AADSTS700213", "AADSTS700222", "AADSTS700223", "AADSTS700224", "AADSTS700225", "AADSTS700226", "AADSTS700227", "AADSTS700228", "AADSTS7002138", "AADSTS7002122", "AADSTS50003", "AADSTS50006", "AADSTS50032", "AADSTS50048", "AADSTS67003", "AADSTS70001", "AADSTS7000220", "AADSTS7000221", "AADSTS392200"]),
        // Where to.
        codes(Class::RedirectUriMismatch, &["AADSTS50011", "AADSTS500112", "AADSTS500113", "AADSTS500117", "AADSTS70004", "AADSTS900971", "AADSTS900972"]),
        codes(Class::RedirectUriMismatch, &["AADSTS90023", "AADSTS9002313", "AADSTS70000", "AADSTS90102"]).says(&["redirect uri"]),
        codes(Class::InvalidTarget, &["AADSTS50001", "AADSTS500011", "AADSTS50010", "AADSTS50049", "AADSTS50059", "AADSTS50107", "AADSTS50128", "AADSTS50169", "AADSTS50194", "AADSTS20033", "AADSTS650057", "AADSTS650054", "AADSTS65005", "AADSTS90002", "AADSTS90019", "AADSTS90038", "AADSTS900382", "AADSTS90043", "AADSTS900432", "AADSTS900439", "AADSTS90051", "AADSTS90125", "AADSTS9002331", "AADSTS9002332", "AADSTS9002333", "AADSTS9002346", "AADSTS900021", "AADSTS900023", "AADSTS500207", "AADSTS500208", "AADSTS90124", "AADSTS700022", "AADSTS5000224", "AADSTS90009"]),
        // Consent and scope.
        codes(Class::ConsentRequired, &["AADSTS65001", "AADSTS65002", "AADSTS650056", "AADSTS90008", "AADSTS90093", "AADSTS90094", "AADSTS90095", "AADSTS90097", "AADSTS90099", "AADSTS50015", "AADSTS52004", "AADSTS650051", "AADSTS500201"]),
        codes(Class::ConsentRequired, &["AADSTS70000"]).says(&["scopes requested are unauthorized", "unauthorized or expired"]),
        codes(Class::AccessDenied, &["AADSTS65004"]),
        codes(Class::InvalidScope, &["AADSTS28002", "AADSTS28003", "AADSTS70011", "AADSTS650053", "AADSTS1002013"]),
        codes(Class::EntitlementMissing, &["AADSTS650052", "AADSTS51000", "AADSTS500212", "AADSTS7500529", "AADSTS500341"]),
        // Second factor.
        codes(Class::MfaRequired, &["AADSTS50072", "AADSTS50074", "AADSTS50076", "AADSTS50078", "AADSTS50079", "AADSTS75011", "AADSTS500121", "AADSTS50086", "AADSTS53004", "AADSTS500711", "AADSTS550001"]),
        // Policy.
        codes(Class::PolicyBlocked, &["AADSTS53000", "AADSTS53001", "AADSTS53002", "AADSTS53003", "AADSTS53005", "AADSTS53008", "AADSTS53009", "AADSTS53010", "AADSTS53011", "AADSTS530001", "AADSTS530002", "AADSTS530003", "AADSTS530004", "AADSTS530021", "AADSTS530031", "AADSTS530032", "AADSTS530033", "AADSTS530034", "AADSTS530035", "AADSTS530036", "AADSTS53200", "AADSTS53201", "AADSTS500021", "AADSTS500022", "AADSTS50002", "AADSTS50005", "AADSTS50097", "AADSTS50099", "AADSTS50127", "AADSTS50129", "AADSTS50131", "AADSTS50155", "AADSTS50187", "AADSTS54000", "AADSTS80012", "AADSTS700003", "AADSTS130500", "AADSTS135011", "AADSTS500213", "AADSTS500214", "AADSTS1000104", "AADSTS5000211", "AADSTS501361", "AADSTS399287"]),
        codes(Class::PolicyBlocked, &["AADSTS50053"]).says(&["ip address", "malicious"]),
        // The account.
        codes(Class::AccountLocked, &["AADSTS50053", "AADSTS50055", "AADSTS50057", "AADSTS500571", "AADSTS50135", "AADSTS50142", "AADSTS50144", "AADSTS130507", "AADSTS50014", "AADSTS120021"]),
        codes(Class::BadUserCredentials, &["AADSTS50056", "AADSTS50064", "AADSTS50126", "AADSTS120000", "AADSTS50017", "AADSTS80010", "AADSTS130504", "AADSTS500183"]),
        codes(Class::AccessDenied, &["AADSTS50020", "AADSTS50034", "AADSTS50105", "AADSTS501051", "AADSTS51004", "AADSTS90072", "AADSTS16003", "AADSTS50177", "AADSTS90123", "AADSTS75008", "AADSTS50178", "AADSTS5000811"]),
        // Session and interaction.
        codes(Class::LoginRequired, &["AADSTS50058", "AADSTS160021", "AADSTS50139", "AADSTS50180", "AADSTS81004", "AADSTS81005", "AADSTS81006", "AADSTS81007", "AADSTS81009", "AADSTS81010"]),
        codes(Class::InteractionRequired, &["AADSTS16000", "AADSTS16001", "AADSTS16002", "AADSTS50125", "AADSTS50140", "AADSTS50158", "AADSTS50168", "AADSTS50199", "AADSTS51006", "AADSTS700020", "AADSTS50085", "AADSTS50192", "AADSTS1000002", "AADSTS50206", "AADSTS50203"]),
        codes(Class::RefreshTokenRevoked, &["AADSTS50132", "AADSTS50133"]).at(REFRESH),
        codes(Class::RefreshTokenExpired, &["AADSTS70044", "AADSTS70046"]).at(REFRESH),
        codes(Class::SessionExpired, &["AADSTS50070", "AADSTS50071", "AADSTS50089", "AADSTS50132", "AADSTS50133", "AADSTS50143", "AADSTS70044", "AADSTS70046", "AADSTS90007", "AADSTS165004", "AADSTS900981", "AADSTS165000"]),
        // Grants.
        codes(Class::PkceMismatch, &["AADSTS50147", "AADSTS501471", "AADSTS501481", "AADSTS50148", "AADSTS501491", "AADSTS50149", "AADSTS9002325"]),
        codes(Class::CodeReused, &["AADSTS54005"]),
        codes(Class::DeviceCodeExpired, &["AADSTS70019", "AADSTS70020"]),
        codes(Class::RefreshTokenExpired, &["AADSTS700082", "AADSTS700081", "AADSTS700083", "AADSTS700084", "AADSTS70043"]),
        codes(Class::RefreshTokenExpired, &["AADSTS70008"]).says(&["refresh token"]),
        codes(Class::RefreshTokenExpired, &["AADSTS70008"]).at(REFRESH),
        codes(Class::CodeExpired, &["AADSTS70008", "AADSTS700009"]).at(TOKEN),
        codes(Class::RefreshTokenRevoked, &["AADSTS50173", "AADSTS500173", "AADSTS70030"]),
        codes(Class::InvalidGrant, &["AADSTS700005"]).blame(Cause::Configuration, Action::FixConfig),
        codes(Class::InvalidGrant, &["AADSTS50008", "AADSTS50013", "AADSTS500131", "AADSTS500132", "AADSTS500133", "AADSTS500134", "AADSTS5000819", "AADSTS40009", "AADSTS40015", "AADSTS70000", "AADSTS700007", "AADSTS70018", "AADSTS90119", "AADSTS240002", "AADSTS399284", "AADSTS9002341", "AADSTS90020"]),
        codes(Class::UnsupportedGrantType, &["AADSTS70003", "AADSTS9001023", "AADSTS9001024"]),
        codes(Class::UnsupportedResponseType, &["AADSTS70005", "AADSTS70007", "AADSTS700051", "AADSTS700054", "AADSTS700053"]),
        // Trouble.
        codes(Class::RateLimited, &["AADSTS50196", "AADSTS90055", "AADSTS50088", "AADSTS50166", "AADSTS500882"]),
        codes(Class::TemporarilyUnavailable, &["AADSTS40010", "AADSTS50033", "AADSTS50087", "AADSTS90006", "AADSTS90012", "AADSTS90024", "AADSTS90033", "AADSTS90090", "AADSTS90091", "AADSTS80001", "AADSTS80002", "AADSTS80014", "AADSTS50102"]),
        codes(Class::ServerError, &["AADSTS17003", "AADSTS20001", "AADSTS20012", "AADSTS40008", "AADSTS50000", "AADSTS50042", "AADSTS50043", "AADSTS50124", "AADSTS70012", "AADSTS80003", "AADSTS80005", "AADSTS80007", "AADSTS90036", "AADSTS90092", "AADSTS50146"]),
        // The request.
        codes(Class::InvalidRequest, &["AADSTS50007", "AADSTS50027", "AADSTS50029", "AADSTS50050", "AADSTS50061", "AADSTS50120", "AADSTS50134", "AADSTS51001", "AADSTS75001", "AADSTS75003", "AADSTS75005", "AADSTS750054", "AADSTS7500514", "AADSTS75016", "AADSTS76021", "AADSTS90004", "AADSTS90005", "AADSTS90010", "AADSTS90011", "AADSTS90013", "AADSTS90014", "AADSTS900144", "AADSTS900142", "AADSTS900140", "AADSTS90015", "AADSTS90016", "AADSTS90022", "AADSTS90023", "AADSTS9000411", "AADSTS9000410", "AADSTS9000401", "AADSTS90027", "AADSTS90056", "AADSTS900561", "AADSTS90081", "AADSTS90082", "AADSTS90084", "AADSTS90085", "AADSTS90100", "AADSTS901002", "AADSTS90102", "AADSTS90107", "AADSTS90117", "AADSTS90120", "AADSTS90121", "AADSTS90126", "AADSTS9002313", "AADSTS9002314", "AADSTS9002312", "AADSTS165900", "AADSTS230109", "AADSTS1002011"]),
        // Said in front of another code that says more.
        codes(Class::InvalidClient, &["AADSTS70002"]),
        // Microsoft Graph and pages.
        codes(Class::InvalidToken, &["InvalidAuthenticationToken", "Authentication_ExpiredToken", "Authentication_MissingOrMalformed", "TokenNotFound", "CompactToken", "unauthenticated"]),
        codes(Class::InsufficientScope, &["Authorization_RequestDenied", "ErrorAccessDenied"]),
        codes(Class::EntitlementMissing, &["Authentication_RequestFromNonPremiumTenantOrB2CTenant", "MailboxNotEnabledForRESTAPI"]),
        codes(Class::RateLimited, &["TooManyRequests", "ApplicationThrottled", "activityLimitReached"]),
        says(Class::BadUserCredentials, &["your account or password is incorrect", "that microsoft account doesn't exist"]).when(Fact::NoHeader("x-ms-request-id")),
        says(Class::AccountLocked, &["your account has been locked", "account is temporarily locked"]),
        says(Class::ConsentRequired, &["need admin approval", "permissions requested"]),
        says(Class::MfaRequired, &["more information required", "help us protect your account", "approve sign in request", "enter code"]),
        says(Class::PolicyBlocked, &["you cannot access this right now", "you can't get there from here"]),
    ],
    ..Provider::named("microsoft-entra", &["entra", "entra-id", "azure-ad", "azuread", "microsoft", "aad", "azure", "microsoft-entra-id"])
};
