//! The rows of the identities below `/-/`.

use super::rows::rows;
use super::{World, ask};
use crate::json;

fn world() -> World {
    let mut world = World::new();
    let token = |world: &mut World, body: &str| {
        let issued = json(&world.made(ask("POST", "/-/tokens").body(body)));
        issued["token"].as_str().unwrap().to_owned()
    };
    let wide = token(&mut world, "{}");
    let narrow = r#"{"policies":[{"Version":"2012-10-17","Statement":
        {"Effect":"Allow","Action":["s3:Get*","iam:Get*","iam:List*"],"Resource":"*"}}]}"#;
    let narrow = token(&mut world, narrow);
    world.names.insert("token", wide);
    world.names.insert("narrow", narrow);
    world
}

#[test]
fn identities_refuse_each_of_their_named_cases_and_change_nothing() {
    let mut world = world();
    let bearer = ask("GET", "/-/me").by(super::Who::Nobody);
    // What the wrong tokens are made of is one.
    world.made(bearer.with("authorization", "Bearer <token>"));
    let refused = world.refuses(rows(include_str!("admin.txt"), |ask| ask));
    assert!(refused >= 111, "{refused}");
}
