//! Which providers can be written, and what is told of the others.

use super::*;

const LEAST: &str = "id = \"corp\"\nname = \"Corp\"\nclient_id = \"hub\"\n";

fn read(more: &str) -> Result<ProviderSettings, String> {
    toml::from_str(&format!("{LEAST}{more}")).map_err(|error| error.to_string())
}

#[test]
fn a_provider_needs_little() {
    let oidc = read("kind = \"oidc\"\nissuer = \"https://login.example\"\n").unwrap();
    let github = "kind = \"github\"\nclient_secret_env = \"SECRET\"\n";
    let enterprise = read(&format!("{github}web = \"https://git.example/\"\n")).unwrap();

    assert_eq!(oidc.issuer(), "https://login.example");
    assert_eq!(oidc.newcomers, Newcomers::Refuse);
    assert_eq!(read(github).unwrap().issuer(), "https://github.com");
    let Kind::Github { api, .. } = enterprise.kind else {
        panic!("{enterprise:?}");
    };
    assert_eq!(api, "https://git.example/api/v3");
}

#[test]
fn a_wrong_provider_is_told_what_would_be_right() {
    let oidc = "kind = \"oidc\"\nissuer = \"https://login.example\"\n";
    for (settings, told) in [
        ("kind = \"saml\"\n", "unknown variant `saml`"),
        ("kind = \"oidc\"\n", "needs its issuer"),
        (
            "kind = \"oidc\"\nissuer = \"http://login.example\"\n",
            "is not https://",
        ),
        ("kind = \"github\"\n", "GitHub needs client_secret_file"),
        (
            &format!("{oidc}web = \"https://x\"\n"),
            "kind oidc has no web",
        ),
        (
            &format!("{oidc}allowed_domains = [\"@example.org\"]\n"),
            "no domain",
        ),
        (
            &format!("{oidc}client_secret_file = \"secret\"\n"),
            "not an absolute path",
        ),
        (
            &format!("{oidc}client_secret_file = \"/s\"\nclient_secret_env = \"S\"\n"),
            "one too many",
        ),
        (&format!("{oidc}isuer = \"x\"\n"), "unknown field `isuer`"),
    ] {
        let error = read(settings).unwrap_err();
        assert!(error.contains(told), "{settings}: {error}");
    }
}

#[test]
fn a_secret_that_cannot_be_read_names_where_it_should_be() {
    let missing = SecretSource::File("/nowhere/secret".into());
    let unset = SecretSource::Variable("COOPERAGE_NO_SUCH_SECRET".to_owned());

    let told = |source: &SecretSource| format!("{:#}", source.read().unwrap_err());
    assert!(told(&missing).contains("/nowhere/secret"));
    assert!(told(&unset).contains("$COOPERAGE_NO_SUCH_SECRET"));
}
