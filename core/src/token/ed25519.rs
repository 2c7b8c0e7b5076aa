//! Whether 32 bytes are a public key of Ed25519 at all (RFC 8032 §5.1.3). The library parses any 32 bytes and finds out only
//! when it verifies, by failing each time; RFC 8725 §3.4 wants such keys refused when they come in. Public values only, so
//! nothing here needs constant time.

/// Numbers modulo p = 2^255 − 19, least significant limb first, not always fully reduced.
type Number = [u64; 4];

const P: Number = [0xffff_ffff_ffff_ffed, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
const MINUS_ONE: Number = [0xffff_ffff_ffff_ffec, u64::MAX, u64::MAX, 0x7fff_ffff_ffff_ffff];
/// (p − 1) / 2.
const HALF: Number = [0xffff_ffff_ffff_fff6, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff];
/// The curve's constant d.
const D: Number = [0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73];

/// The y coordinates of the points of small order, the sign bit aside: whoever holds such a key can sign anything. Those
/// beyond p are not listed, for they are refused as spellings.
const SMALL_ORDER: [Number; 5] = [
    [0, 0, 0, 0],
    [1, 0, 0, 0],
    MINUS_ONE,
    [0xb027_b2c2_8f95_e826, 0xf098_eff2_89f4_c345, 0x3933_c6d3_05ac_dfd5, 0x05fc_536d_8802_38b1],
    [0x4fd8_4d3d_706a_17c7, 0x0f67_100d_760b_3cba, 0xc6cc_392c_fa53_202a, 0x7a03_ac92_77fd_c74e],
];

/// Whether this is the one spelling of a point on the curve that is not of small order.
pub(super) fn is_usable(key: &[u8; 32]) -> bool {
    let mut y = Number::default();
    for (limb, bytes) in y.iter_mut().zip(key.chunks_exact(8)) {
        *limb = bytes.iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    }
    y[3] &= u64::MAX >> 1;
    reduced(y) == y && !SMALL_ORDER.contains(&y) && on_curve(y)
}

/// x² = (y² − 1) / (d·y² + 1) has a solution when the quotient, or as well the product, is a square: Euler's criterion.
fn on_curve(y: Number) -> bool {
    let square = multiply(y, y);
    let product = multiply(add(square, MINUS_ONE), add(multiply(D, square), [1, 0, 0, 0]));
    let mut power = [1, 0, 0, 0];
    for limb in HALF.iter().rev() {
        for bit in (0..64).rev() {
            power = multiply(power, power);
            if limb >> bit & 1 == 1 {
                power = multiply(power, product);
            }
        }
    }
    reduced(power) == [1, 0, 0, 0]
}

fn multiply(a: Number, b: Number) -> Number {
    let mut wide = [0_u64; 8];
    for (i, a) in a.into_iter().enumerate() {
        let mut carry = 0;
        for (j, b) in b.into_iter().enumerate() {
            let sum = u128::from(a) * u128::from(b) + u128::from(wide[i + j]) + carry;
            wide[i + j] = sum as u64;
            carry = sum >> 64;
        }
        wide[i + 4] = carry as u64;
    }
    let [low @ .., _, _, _, _] = wide;
    let mut result = low;
    let mut carry = 0;
    for (i, limb) in result.iter_mut().enumerate() {
        // 2^256 is 38 modulo p.
        let sum = u128::from(*limb) + 38 * u128::from(wide[i + 4]) + carry;
        *limb = sum as u64;
        carry = sum >> 64;
    }
    fold(result, carry)
}

fn add(a: Number, b: Number) -> Number {
    let mut result = a;
    let mut carry = 0;
    for (limb, b) in result.iter_mut().zip(b) {
        let sum = u128::from(*limb) + u128::from(b) + carry;
        *limb = sum as u64;
        carry = sum >> 64;
    }
    fold(result, carry)
}

/// Brings what overflowed 2^256 back in.
fn fold(mut number: Number, mut over: u128) -> Number {
    while over > 0 {
        let mut carry = over * 38;
        for limb in &mut number {
            let sum = u128::from(*limb) + carry;
            *limb = sum as u64;
            carry = sum >> 64;
        }
        over = carry;
    }
    number
}

fn reduced(mut number: Number) -> Number {
    while number.iter().rev().ge(P.iter().rev()) {
        let mut borrow = false;
        for (limb, p) in number.iter_mut().zip(P) {
            let (difference, under) = limb.overflowing_sub(p);
            let (difference, under_again) = difference.overflowing_sub(u64::from(borrow));
            *limb = difference;
            borrow = under || under_again;
        }
    }
    number
}
