nice_macro::nothing!();

fn main() {
    println!("{}", nice_helper::help());
}
