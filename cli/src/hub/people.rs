//! The calls about accounts, teams and members.

use cooperage_protocol::accounts::{
    Account, Invitation, Link, Member, NewLink, NewTeam, NewUser, Team, User, UserChange, Who,
};
use cooperage_protocol::{AccountName, CollectionName};
use reqwest::Method;

use super::{Hub, Result};

impl Hub {
    pub(crate) fn account(&self) -> Result<Account> {
        self.json(self.request(Method::GET, "/api/account"))
    }

    pub(crate) fn users(&self) -> Result<Vec<User>> {
        self.json(self.request(Method::GET, "/api/users"))
    }

    pub(crate) fn add_user(&self, new: &NewUser) -> Result<Invitation> {
        self.json(self.request(Method::POST, "/api/users").json(new))
    }

    pub(crate) fn invite(&self, name: &AccountName) -> Result<Invitation> {
        let path = format!("/api/users/{name}/invitation");
        self.json(self.request(Method::POST, &path))
    }

    pub(crate) fn change_user(&self, name: &AccountName, change: &UserChange) -> Result<()> {
        let path = format!("/api/users/{name}");
        self.send(self.request(Method::PATCH, &path).json(change))
            .map(drop)
    }

    pub(crate) fn teams(&self) -> Result<Vec<Team>> {
        self.json(self.request(Method::GET, "/api/teams"))
    }

    pub(crate) fn add_team(&self, name: &AccountName) -> Result<()> {
        let new = NewTeam { name: name.clone() };
        self.send(self.request(Method::POST, "/api/teams").json(&new))
            .map(drop)
    }

    pub(crate) fn remove_team(&self, name: &AccountName) -> Result<()> {
        self.send(self.request(Method::DELETE, &format!("/api/teams/{name}")))
            .map(drop)
    }

    pub(crate) fn join(&self, team: &AccountName, user: &AccountName) -> Result<()> {
        let path = format!("/api/teams/{team}/members/{user}");
        self.send(self.request(Method::PUT, &path)).map(drop)
    }

    pub(crate) fn leave(&self, team: &AccountName, user: &AccountName) -> Result<()> {
        let path = format!("/api/teams/{team}/members/{user}");
        self.send(self.request(Method::DELETE, &path)).map(drop)
    }

    pub(crate) fn add_link(&self, of: &CollectionName, new: &NewLink) -> Result<Link> {
        let path = format!("/api/collections/{of}/links");
        self.json(self.request(Method::POST, &path).json(new))
    }

    pub(crate) fn members(&self, of: &CollectionName) -> Result<Vec<Member>> {
        let path = format!("/api/collections/{of}/members");
        self.json(self.request(Method::GET, &path))
    }

    pub(crate) fn put_member(&self, of: &CollectionName, member: &Member) -> Result<()> {
        let path = format!("/api/collections/{of}/members");
        self.send(self.request(Method::PUT, &path).json(member))
            .map(drop)
    }

    pub(crate) fn remove_member(&self, of: &CollectionName, who: &Who) -> Result<()> {
        let path = format!(
            "/api/collections/{of}/members/{}/{}",
            who.kind(),
            who.name()
        );
        self.send(self.request(Method::DELETE, &path)).map(drop)
    }
}
