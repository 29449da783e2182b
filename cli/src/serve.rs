//! The server's roles, each alone in its process: configuration, work, shutdown.

use loggia_runtime::{Env, shutdown};

pub(crate) async fn api() -> anyhow::Result<()> {
    let mut env = Env::from_process();
    let config = loggia_api::Config::from_env(&mut env);
    env.finish()?;
    loggia_api::run(config, shutdown::on_signal()?).await
}

pub(crate) async fn builder() -> anyhow::Result<()> {
    let mut env = Env::from_process();
    let config = loggia_builder::Config::from_env(&mut env);
    env.finish()?;
    loggia_builder::run(config, shutdown::on_signal()?).await
}

pub(crate) async fn proxy() -> anyhow::Result<()> {
    let mut env = Env::from_process();
    let config = loggia_proxy::Config::from_env(&mut env);
    env.finish()?;
    loggia_proxy::run_replaceable(config, shutdown::on_signal()?).await
}
