mod up;

fn main() {}
