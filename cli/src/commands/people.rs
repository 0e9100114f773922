//! `user`, `team` and `collection member`: accounts, teams of them, and roles in collections.

use std::process::ExitCode;

use clap::Subcommand;
use cooperage_protocol::accounts::{
    Invitation, Member, NewLink, NewUser, Team, User, UserChange, Who,
};
use cooperage_protocol::{AccountName, CollectionName, Role};

use crate::config::DataFolder;
use crate::hub::Hub;
use crate::output::{self, FormatArgs};

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage user add ada")]
pub(crate) enum UserCommand {
    /// Make an account; prints the link that sets its password, once.
    Add(AddUser),
    /// Print a link that sets another password for an account, once.
    Invite(OneUser),
    /// List the accounts.
    List(Listed),
    /// Make an account an administrator's.
    Promote(OneUser),
    /// Take the administrator's rights of an account.
    Demote(OneUser),
    /// Shut an account out, with its sessions and tokens.
    Disable(OneUser),
    /// Let a disabled account in again.
    Enable(OneUser),
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage team join lab ada")]
pub(crate) enum TeamCommand {
    /// Make a team.
    Add(OneTeam),
    /// List the teams.
    List(Listed),
    /// Take an account into a team.
    Join(Membership),
    /// Take an account out of a team.
    Leave(Membership),
    /// End a team, with the roles that it has.
    Remove(OneTeam),
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cooperage collection member set lab/tool ada builder")]
pub(crate) enum MemberCommand {
    /// List who has which role.
    List(OneCollection),
    /// Give an account or a team a role: reader, builder or owner.
    Set(SetMember),
    /// Take the role of an account or a team.
    Remove(RemoveMember),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage user add ada --admin")]
pub(crate) struct AddUser {
    /// Its name.
    name: AccountName,
    /// An administrator's account.
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage user invite ada")]
pub(crate) struct OneUser {
    /// The account.
    name: AccountName,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage user list --format json")]
pub(crate) struct Listed {
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage team add lab")]
pub(crate) struct OneTeam {
    /// The team.
    name: AccountName,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage team join lab ada")]
pub(crate) struct Membership {
    /// The team.
    team: AccountName,
    /// The account.
    user: AccountName,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection member list lab/tool")]
pub(crate) struct OneCollection {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    collection: CollectionName,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection member set lab/tool lab reader --team")]
pub(crate) struct SetMember {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    collection: CollectionName,
    /// The account, or with --team the team.
    name: AccountName,
    /// The role: reader, builder or owner.
    role: Role,
    /// The name is a team's.
    #[arg(long)]
    team: bool,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection member remove lab/tool ada")]
pub(crate) struct RemoveMember {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    collection: CollectionName,
    /// The account, or with --team the team.
    name: AccountName,
    /// The name is a team's.
    #[arg(long)]
    team: bool,
    #[command(flatten)]
    data: DataFolder,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cooperage collection link lab/tool v1.sif --hours 48")]
pub(crate) struct LinkArgs {
    /// The collection.
    #[arg(value_name = "OWNER/REPO")]
    collection: CollectionName,
    /// The image: TAG.sif, TAG@COMMIT.sif or sha256:DIGEST.sif.
    file: String,
    /// How long the link is good for.
    #[arg(long, value_name = "N", default_value_t = 24)]
    hours: u16,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    format: FormatArgs,
}

pub(crate) fn link(args: &LinkArgs) -> anyhow::Result<ExitCode> {
    let new = NewLink {
        file: args.file.clone(),
        seconds: u32::from(args.hours) * 3600,
    };
    let link = Hub::of(&args.data.path)?.add_link(&args.collection, &new)?;
    args.format.print(&link, |link| format!("{}\n", link.url))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run_user(command: UserCommand) -> anyhow::Result<ExitCode> {
    let (args, change) = match command {
        UserCommand::Add(args) => {
            let new = NewUser {
                name: args.name,
                is_admin: args.admin,
            };
            let invitation = Hub::of(&args.data.path)?.add_user(&new)?;
            args.format.print(&invitation, invited)?;
            return Ok(ExitCode::SUCCESS);
        }
        UserCommand::List(args) => {
            let users = Hub::of(&args.data.path)?.users()?;
            args.format.print(&users, |users| user_table(users))?;
            return Ok(ExitCode::SUCCESS);
        }
        UserCommand::Invite(args) => {
            print!(
                "{}",
                invited(&Hub::of(&args.data.path)?.invite(&args.name)?)
            );
            return Ok(ExitCode::SUCCESS);
        }
        UserCommand::Promote(args) => (args, (Some(true), None)),
        UserCommand::Demote(args) => (args, (Some(false), None)),
        UserCommand::Disable(args) => (args, (None, Some(true))),
        UserCommand::Enable(args) => (args, (None, Some(false))),
    };
    let (is_admin, is_disabled) = change;
    let change = UserChange {
        is_admin,
        is_disabled,
    };
    Hub::of(&args.data.path)?.change_user(&args.name, &change)?;
    Ok(ExitCode::SUCCESS)
}

fn invited(invitation: &Invitation) -> String {
    let Invitation {
        name,
        url,
        expires_at,
    } = invitation;
    format!(
        "{name} sets a password, once, until {}, at\n\x20 {url}\nThe link is not shown again.\n",
        output::time(Some(*expires_at))
    )
}

fn user_table(users: &[User]) -> String {
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            let state = match (user.is_disabled, user.is_invited) {
                (true, _) => "disabled",
                (false, true) => "invited",
                (false, false) => "active",
            };
            let rights = if user.is_admin { "administrator" } else { "" };
            [user.name.clone(), state.to_owned(), rights.to_owned()]
        })
        .collect();
    output::table(["NAME", "STATE", "RIGHTS"], &rows)
}

pub(crate) fn run_team(command: TeamCommand) -> anyhow::Result<ExitCode> {
    match command {
        TeamCommand::Add(args) => Hub::of(&args.data.path)?.add_team(&args.name)?,
        TeamCommand::Remove(args) => Hub::of(&args.data.path)?.remove_team(&args.name)?,
        TeamCommand::Join(args) => Hub::of(&args.data.path)?.join(&args.team, &args.user)?,
        TeamCommand::Leave(args) => Hub::of(&args.data.path)?.leave(&args.team, &args.user)?,
        TeamCommand::List(args) => {
            let teams = Hub::of(&args.data.path)?.teams()?;
            args.format.print(&teams, |teams| team_table(teams))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn team_table(teams: &[Team]) -> String {
    let rows: Vec<_> = teams
        .iter()
        .map(|team| [team.name.clone(), team.members.join(",")])
        .collect();
    output::table(["NAME", "MEMBERS"], &rows)
}

pub(crate) fn run_member(command: MemberCommand) -> anyhow::Result<ExitCode> {
    match command {
        MemberCommand::List(args) => {
            let members = Hub::of(&args.data.path)?.members(&args.collection)?;
            args.format
                .print(&members, |members| member_table(members))?;
        }
        MemberCommand::Set(args) => {
            let member = Member {
                who: who(args.name, args.team),
                role: args.role,
            };
            Hub::of(&args.data.path)?.put_member(&args.collection, &member)?;
        }
        MemberCommand::Remove(args) => {
            let who = who(args.name, args.team);
            Hub::of(&args.data.path)?.remove_member(&args.collection, &who)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn who(name: AccountName, is_team: bool) -> Who {
    if is_team {
        Who::Team(name)
    } else {
        Who::User(name)
    }
}

fn member_table(members: &[Member]) -> String {
    let rows: Vec<_> = members
        .iter()
        .map(|member| {
            let who = &member.who;
            let name = who.name().to_string();
            [name, who.kind().to_owned(), member.role.to_string()]
        })
        .collect();
    output::table(["NAME", "KIND", "ROLE"], &rows)
}
